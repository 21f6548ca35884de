"""Which clause catches which fault."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import attrs

from jobkit_contract.clause import Check, Level, Plane, Status
from jobkit_contract.expected import expected
from jobkit_contract.mutants.bank import REFERENCE, Fault, harness_for
from jobkit_contract.registry import Registry
from jobkit_contract.runner import run_one
from jobkit_contract.verdict import Outcome

SIDE_BY_SIDE = 96
"""Nearly all of the time is waiting for leases and delays."""


@attrs.frozen(kw_only=True)
class Row:
    """
    Attributes:
        caught: The clauses that failed on this fault, in the contract's order.
        outcomes: One per check that ran.
    """

    fault: Fault
    caught: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def survived(self) -> bool:
        """The clause that must catch it did not. The reference survives if nothing catches it, as it should."""
        return self.fault is not REFERENCE and self.fault.clause not in self.caught

    @property
    def wrong(self) -> bool:
        return bool(self.caught) if self.fault is REFERENCE else self.survived


def try_faults(registry: Registry, faults: Iterable[Fault], *, seed: int, own_clause_only: bool = False) -> list[Row]:
    """Run the checks on each fault: all that its line has, or only those of the clause that must catch it."""
    pairs = [(fault, check) for fault in faults for check in _checks(registry, fault, own_clause_only)]
    pairs.sort(key=lambda pair: -pair[1].limit)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes = list(pool.map(lambda pair: run_one(pair[1], harness_for(pair[0]), f"{seed}/{pair[1].id}"), pairs))
    by_fault: dict[str, list[Outcome]] = {}
    for (fault, _), outcome in zip(pairs, outcomes, strict=True):
        by_fault.setdefault(fault.slug, []).append(outcome)
    return [_row(registry, fault, by_fault.get(fault.slug, [])) for fault in faults]


def _checks(registry: Registry, fault: Fault, own_clause_only: bool) -> list[Check]:
    planes = set(Plane) if fault is REFERENCE else {fault.plane}
    wanted = expected(registry, harness_for(fault).manifest(), Level.FULL, planes).run
    only = own_clause_only and fault is not REFERENCE
    return [check for check in wanted if check.run and (not only or check.clause == fault.clause)]


def _row(registry: Registry, fault: Fault, outcomes: list[Outcome]) -> Row:
    failed = {outcome.check.partition("/")[0] for outcome in outcomes if outcome.status is not Status.PASS}
    caught = tuple(clause for clause in registry.clauses if clause in failed)
    return Row(fault=fault, caught=caught, outcomes=tuple(outcomes))


def idle_clauses(registry: Registry, rows: Iterable[Row]) -> list[str]:
    """The clauses with checks that ran and caught nothing at all: a check that can not fail is a defect."""
    ran = {outcome.check.partition("/")[0] for row in rows for outcome in row.outcomes}
    caught = {clause for row in rows for clause in row.caught}
    return [clause for clause in registry.clauses if clause in ran - caught]


def as_table(registry: Registry, rows: list[Row]) -> str:
    """Faults downwards, clauses across: ``#`` where the clause caught the fault that it must, ``x`` where another did."""
    shown = [clause for clause in registry.clauses if any(clause in row.caught for row in rows)]
    width = max(len(row.fault.name) for row in rows)
    head = [f"{'':{width}}         {' '.join(name.ljust(5)[place] for name in shown)}" for place in range(5)]
    body = [f"{row.fault.name:{width}}  {_word(row)}  {' '.join(_mark(row, clause) for clause in shown)}" for row in rows]
    return "\n".join([*head, *body])


def _word(row: Row) -> str:
    if row.fault is REFERENCE:
        return "BROKEN" if row.wrong else "pass  "
    return "ALIVE!" if row.survived else "caught"


def _mark(row: Row, clause: str) -> str:
    if clause not in row.caught:
        return "."
    return "#" if clause == row.fault.clause else "x"
