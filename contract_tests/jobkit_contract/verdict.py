"""The verdict: computed from what ran, against what had to run. It is never typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import attrs

from jobkit_contract.clause import Check, Level, Plane, Status
from jobkit_contract.expected import Expected, expected
from jobkit_contract.manifest import Manifest
from jobkit_contract.registry import Registry
from jobkit_contract.waivers import Waiver


@attrs.frozen(kw_only=True)
class Outcome:
    """
    What one check came to.

    Attributes:
        detail: For people: what was broken and where, or why it did not run.
    """

    check: str
    status: Status
    seconds: float = 0.0
    detail: str = ""


@attrs.frozen(kw_only=True)
class ClauseResult:
    """
    What one clause came to, over all its checks that the level asks for.

    Attributes:
        outcomes: One per check, those that stood back included.
    """

    clause: str
    status: Status
    outcomes: tuple[Outcome, ...]
    waiver: Waiver | None = None

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)


@attrs.frozen(kw_only=True)
class Verdict:
    """
    Attributes:
        reached: Whether *level* was.
        reasons: Why not, one sentence each.
    """

    level: Level
    reached: bool
    reasons: tuple[str, ...]
    clauses: tuple[ClauseResult, ...]

    def count(self, status: Status) -> int:
        return sum(1 for result in self.clauses if result.status is status)


@attrs.frozen(kw_only=True)
class Terms:
    """What a verdict is asked about: the same for every way of running the suite."""

    registry: Registry
    manifest: Manifest
    level: Level
    planes: frozenset[Plane]
    waivers: tuple[Waiver, ...] = ()
    today: date

    def expected(self) -> Expected:
        return expected(self.registry, self.manifest, self.level, self.planes)


def judge(terms: Terms, ran: Mapping[str, Outcome]) -> Verdict:
    """The verdict on *ran*. The expected set is computed here anew, whatever the runner thought that it was."""
    wanted = terms.expected()
    outcomes = {check.id: ran.get(check.id) or _never_ran(check) for check in wanted.run}
    for name, refusals in wanted.not_offered.items():
        outcomes[name] = _stand_back(name, refusals, outcomes)
    results = tuple(_clause_results(terms, outcomes))
    strangers = sorted(set(ran) - wanted.ids())
    reasons = [*_reasons(terms, results), *(f"{name} ran, but was not to be run" for name in strangers)]
    if not results:
        reasons.append("nothing was there to run")
    return Verdict(level=terms.level, reached=not reasons, reasons=tuple(reasons), clauses=results)


def _never_ran(check: Check) -> Outcome:
    return Outcome(check=check.id, status=Status.NOT_RUN, detail=check.later or "it had to run, and did not")


def _stand_back(name: str, refusals: Sequence[Check], outcomes: Mapping[str, Outcome]) -> Outcome:
    """A check whose capability is not declared counts as not offered only once the absence has been shown."""
    if not refusals:
        return Outcome(check=name, status=Status.NOT_RUN, detail="not declared, and no negative test shows its absence")
    open_ones = [check.id for check in refusals if outcomes[check.id].status is not Status.PASS]
    if open_ones:
        detail = f"not declared, but its absence was not shown: {', '.join(open_ones)}"
        return Outcome(check=name, status=Status.NOT_RUN, detail=detail)
    declared = ", ".join(sorted({check.refuses for check in refusals}))
    return Outcome(check=name, status=Status.NOT_OFFERED, detail=f"{declared} is not declared, and is absent")


def _clause_results(terms: Terms, outcomes: Mapping[str, Outcome]) -> list[ClauseResult]:
    waivers = {waiver.clause: waiver for waiver in terms.waivers}
    results = []
    for clause in terms.registry.clauses:
        own = tuple(outcomes[check.id] for check in terms.registry.of(clause) if check.id in outcomes)
        if own:
            waiver = waivers.get(clause)
            status = _with_waiver(worst([outcome.status for outcome in own]), waiver, terms.today)
            results.append(ClauseResult(clause=clause, status=status, outcomes=own, waiver=waiver))
    return results


def worst(statuses: Sequence[Status]) -> Status:
    for status in (Status.FAIL, Status.NOT_RUN, Status.WAIVED, Status.PASS):
        if status in statuses:
            return status
    return Status.NOT_OFFERED


def _with_waiver(status: Status, waiver: Waiver | None, today: date) -> Status:
    """Only a failure can be waived: what did not run is not known to fail."""
    return Status.WAIVED if status is Status.FAIL and waiver and not waiver.lapsed(today) else status


def _reasons(terms: Terms, results: Sequence[ClauseResult]) -> list[str]:
    reasons = []
    for result in results:
        names = ", ".join(outcome.check for outcome in result.outcomes if outcome.status is result.status)
        if result.status is Status.FAIL:
            lapsed = f" (its waiver lapsed after {result.waiver.until})" if result.waiver else ""
            reasons.append(f"{result.clause} failed{lapsed}: {names}")
        elif result.status is Status.NOT_RUN:
            reasons.append(f"{result.clause} did not run: {names}")
    return reasons
