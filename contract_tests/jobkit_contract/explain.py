"""What a clause demands, why, and how it is tested, in words."""

from __future__ import annotations

from jobkit_contract.clause import Check
from jobkit_contract.registry import Registry


def explain_clause(registry: Registry, name: str) -> str:
    clause = registry.clauses[name]
    checks = "\n".join(_line(check) for check in registry.of(name))
    return (
        f"{clause.id}: {clause.sentence}\n\nWhy: {clause.why}\n"
        f"Level: {clause.level}. Since suite {clause.since}.\n\nChecks:\n{checks or '  none yet'}"
    )


def _line(check: Check) -> str:
    marks = [str(check.level), check.plane.value]
    marks += [f"needs {', '.join(check.needs)}"] if check.needs else []
    marks += [f"where {check.refuses} is not declared"] if check.refuses else []
    marks += [f"still to come: {check.later}"] if check.later else []
    return f"  {check.id} ({'; '.join(marks)})\n    {check.sentence}"
