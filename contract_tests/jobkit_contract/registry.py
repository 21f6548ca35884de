"""The contract as data (contract.toml) and the checks that join it, each by a decorator."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterator
from importlib.resources import files

from jobkit_contract.clause import Check, Clause, Level, Plane, Run
from jobkit_contract.manifest import CAPABILITIES


class Registry:
    """Clauses by id, and their checks in order."""

    def __init__(self, clauses: Iterator[Clause] | list[Clause]) -> None:
        self.clauses = {clause.id: clause for clause in clauses}
        self.checks: dict[str, Check] = {}

    def add(self, check: Check) -> None:
        if check.clause not in self.clauses:
            raise ValueError(f"{check.id}: the contract has no clause {check.clause}")
        if check.id in self.checks:
            raise ValueError(f"{check.id} stands twice")
        for name in (*check.needs, *filter(None, [check.refuses])):
            if name not in CAPABILITIES:
                raise ValueError(f"{check.id}: there is no capability {name!r}")
        self.checks[check.id] = check

    def check(
        self,
        clause: str,
        *,
        plane: Plane = Plane.TRANSPORT,
        needs: str = "",
        refuses: str = "",
        limit: float = 30.0,
        heavy: bool = False,
        level: Level | None = None,
    ) -> Callable[[Run], Run]:
        """Make the decorated function a check of *clause*. Its name and docstring are shown in reports."""

        def join(run: Run) -> Run:
            self.add(
                Check(
                    clause=clause,
                    name=run.__name__,
                    sentence=" ".join((run.__doc__ or run.__name__.replace("_", " ")).split()),
                    run=run,
                    plane=plane,
                    level=level or self.clauses[clause].level,
                    needs=tuple(needs.split()),
                    refuses=refuses,
                    limit=limit,
                    heavy=heavy,
                )
            )
            return run

        return join

    def later(self, clause: str, name: str, why: str, *, plane: Plane, level: Level | None = None) -> None:
        """Register a check that is still to come, so that no verdict can pretend that it passed."""
        level = level or self.clauses[clause].level
        sentence = name.replace("_", " ")
        self.add(Check(clause=clause, name=name, sentence=sentence, run=None, plane=plane, level=level, later=why))

    def of(self, clause: str) -> list[Check]:
        return [check for check in self.checks.values() if check.clause == clause]

    def only(self, clauses: Collection[str]) -> Registry:
        """The part of this that *clauses* make, with the negative tests that they lean on."""
        part = Registry([clause for name, clause in self.clauses.items() if name in clauses])
        part.checks = {name: check for name, check in self.checks.items() if check.clause in clauses}
        needed = {name for check in part.checks.values() for name in check.needs}
        for name, check in self.checks.items():
            if check.refuses in needed:
                part.clauses[check.clause] = self.clauses[check.clause]
                part.checks[name] = check
        return part


def _read_clauses() -> Iterator[Clause]:
    table = tomllib.loads(files("jobkit_contract").joinpath("contract.toml").read_text(encoding="utf-8"))
    for name, entry in table.items():
        yield Clause(
            id=name,
            sentence=entry["must"],
            why=entry["why"],
            level=Level.parse(entry.get("level", "core")),
            since=entry.get("since", "0.1.0"),
        )


CONTRACT = Registry(_read_clauses())
"""The real one. `jobkit_contract.clauses` fills it; use `load_contract`."""


def load_contract() -> Registry:
    """The contract with all its checks. A clause that nobody has written a check for shows as "not run"."""
    import jobkit_contract.clauses  # noqa: F401  (imported for its decorators, which need this module first)

    for clause in CONTRACT.clauses:
        if not CONTRACT.of(clause):
            CONTRACT.later(clause, "unchecked", "its checks are still to be written", plane=Plane.WORKER)
    return CONTRACT
