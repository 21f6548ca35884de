"""One run of the suite in the background, for tests that each ask for their own part of it."""

from __future__ import annotations

import threading
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Protocol

from jobkit_contract.clause import Check, Level, Plane, Status
from jobkit_contract.harness import Harness
from jobkit_contract.registry import load_contract
from jobkit_contract.runner import Unreachable, probe, run
from jobkit_contract.verdict import Outcome, Terms, Verdict, judge
from jobkit_contract.waivers import Waiver


class Suite(Protocol):
    """What a class of tests says; see `jobkit_contract.testing.ContractTests`."""

    __name__: str
    planes: frozenset[Plane]
    waivers: tuple[Waiver, ...]

    def harness(self) -> Harness: ...
    def asked_level(self) -> Level: ...


def terms_of(suite: Suite) -> Terms:
    """What a class of tests asks for."""
    return Terms(
        registry=load_contract(),
        manifest=suite.harness().manifest(),
        level=suite.asked_level(),
        planes=suite.planes,
        waivers=suite.waivers,
        today=datetime.now(UTC).date(),
    )


def checks_of(suite: Suite) -> list[str]:
    """The ids of all checks that have to run, or to stand back, in the contract's order."""
    wanted = terms_of(suite).expected().ids()
    return [name for name in load_contract().checks if name in wanted]


class ClassRun:
    """
    Args:
        wanted: The checks that were asked for; None for all, as a verdict needs.
    """

    def __init__(self, suite: Suite, wanted: Collection[str] | None, seed: int) -> None:
        self._terms = terms_of(suite)
        self._harness = suite.harness()
        self._seed = seed
        self._wanted = wanted
        self._ran: dict[str, Outcome] = {}
        self._unreachable = ""
        self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"contract {suite.__name__}")
        self._thread.start()

    def outcome(self, name: str) -> Outcome:
        """What the check *name* came to, as soon as it is known."""
        expected = self._terms.expected()
        needed = [check.id for check in expected.not_offered.get(name, ())] or [name]
        with self._changed:
            self._changed.wait_for(lambda: all(each in self._ran for each in needed) or self._over)
        return self._found(name)

    def verdict(self) -> Verdict:
        self._thread.join()
        return judge(self._terms, self._ran)

    def _found(self, name: str) -> Outcome:
        if self._unreachable:
            detail = f"the backend was not reached: {self._unreachable}"
            return Outcome(check=name, status=Status.NOT_RUN, detail=detail)
        for result in judge(self._terms, self._ran).clauses:
            for outcome in result.outcomes:
                if outcome.check == name:
                    waived = result.status is Status.WAIVED and outcome.status is Status.FAIL and result.waiver
                    return Outcome(check=name, status=Status.WAIVED, detail=waived.reason) if waived else outcome
        raise KeyError(name)

    def _run(self) -> None:
        try:
            probe(self._harness)
            run(self._chosen(), self._harness, seed=self._seed, told=self._told)
        except Unreachable as error:
            self._unreachable = str(error) or "no reason was given"
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _chosen(self) -> list[Check]:
        """The checks that were asked for, and the negative tests that they lean on."""
        expected = self._terms.expected()
        if self._wanted is None:
            return list(expected.run)
        needed = {check.id for name in self._wanted for check in expected.not_offered.get(name, ())}
        return [check for check in expected.run if check.id in needed.union(self._wanted)]

    def _told(self, outcome: Outcome) -> None:
        with self._changed:
            self._ran[outcome.check] = outcome
            self._changed.notify_all()
