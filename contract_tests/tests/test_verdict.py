"""The verdict is computed from what ran, against what had to run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from jobkit_contract.clause import Check, Level, Plane, Status
from jobkit_contract.verdict import Outcome, Terms, Verdict, judge
from jobkit_contract.waivers import Waiver

Make = Callable[..., Check]
Forge = Callable[..., Terms]


def verdict_on(terms: Terms, **statuses: Status) -> Verdict:
    """A verdict on checks of X-1 by name, as if they had come to *statuses*."""
    ran = {f"X-1/{name}": Outcome(check=f"X-1/{name}", status=status, detail="said so") for name, status in statuses.items()}
    return judge(terms, ran)


def test_a_level_is_reached_once_all_of_it_has_passed(forge: Forge, check: Make) -> None:
    assert verdict_on(forge(check("one"), check("two")), one=Status.PASS, two=Status.PASS).reached


def test_a_failure_names_its_check(forge: Forge, check: Make) -> None:
    verdict = verdict_on(forge(check("one"), check("two")), one=Status.PASS, two=Status.FAIL)
    assert not verdict.reached
    assert verdict.reasons == ("X-1 failed: X-1/two",)
    assert [result.status for result in verdict.clauses] == [Status.FAIL]


def test_a_check_that_did_not_run_fails_the_verdict(forge: Forge, check: Make) -> None:
    """However green the rest of its clause is."""
    verdict = verdict_on(forge(check("one"), check("two")), one=Status.PASS)
    assert not verdict.reached
    assert verdict.reasons == ("X-1 did not run: X-1/two",)


def test_a_whole_clause_that_did_not_run_fails_the_verdict(forge: Forge, check: Make) -> None:
    verdict = verdict_on(forge(check("one"), check("other", clause="X-2")), one=Status.PASS)
    assert not verdict.reached
    assert verdict.reasons == ("X-2 did not run: X-2/other",)


def test_a_check_that_ran_unasked_fails_the_verdict(forge: Forge, check: Make) -> None:
    """The set that ran is the set that had to run, or somebody changed it."""
    verdict = verdict_on(forge(check("one")), one=Status.PASS, stranger=Status.PASS)
    assert not verdict.reached
    assert verdict.reasons == ("X-1/stranger ran, but was not to be run",)


def test_nothing_at_all_is_no_verdict(forge: Forge) -> None:
    assert not judge(forge(), {}).reached


@pytest.mark.parametrize(("level", "reached"), [(Level.CORE, True), (Level.FULL, True), (Level.CERTIFIED, False)])
def test_a_check_to_come_withholds_its_own_level_only(forge: Forge, check: Make, level: Level, reached: bool) -> None:
    terms = forge(check("one"), check("proxied", run=None, level=Level.CERTIFIED, later="it comes later"), level=level)
    verdict = verdict_on(terms, one=Status.PASS)
    assert verdict.reached is reached
    details = [outcome.detail for result in verdict.clauses for outcome in result.outcomes if outcome.detail != "said so"]
    assert details == ([] if reached else ["it comes later"])


def test_an_undeclared_capability_counts_as_not_offered_once_its_absence_was_shown(forge: Forge, check: Make) -> None:
    """Memory declares neither."""
    terms = forge(check("one", needs=("shared",)), check("refusal", refuses="shared"))
    verdict = verdict_on(terms, refusal=Status.PASS)
    assert verdict.reached
    assert {outcome.check: outcome.status for outcome in verdict.clauses[0].outcomes} == {
        "X-1/refusal": Status.PASS,
        "X-1/one": Status.NOT_OFFERED,
    }


@pytest.mark.parametrize("status", [Status.FAIL, Status.NOT_RUN, None])
def test_without_its_negative_test_nothing_is_not_offered(forge: Forge, check: Make, status: Status | None) -> None:
    terms = forge(check("one", needs=("shared",)), check("refusal", refuses="shared", clause="X-2"))
    ran = {} if status is None else {"X-2/refusal": Outcome(check="X-2/refusal", status=status)}
    verdict = judge(terms, ran)
    assert not verdict.reached
    assert verdict.clauses[0].status is Status.NOT_RUN
    assert "absence was not shown" in verdict.clauses[0].outcomes[0].detail


def test_a_capability_without_any_negative_test_is_never_not_offered(forge: Forge, check: Make) -> None:
    verdict = judge(forge(check("one", needs=("shared",))), {})
    assert not verdict.reached
    assert "no negative test" in verdict.clauses[0].outcomes[0].detail


def test_every_missing_capability_needs_its_own_negative_test(forge: Forge, check: Make) -> None:
    terms = forge(check("one", needs=("shared", "transactional")), check("refusal", refuses="shared"))
    assert not verdict_on(terms, refusal=Status.PASS).reached


def test_the_negative_test_of_a_declared_capability_must_not_run(forge: Forge, check: Make) -> None:
    terms = forge(check("one", needs=("knows_age",)), check("refusal", refuses="knows_age"))
    assert verdict_on(terms, one=Status.PASS).reached
    assert not verdict_on(terms, one=Status.PASS, refusal=Status.PASS).reached


def test_planes_that_were_not_asked_for_are_left_out(forge: Forge, check: Make) -> None:
    terms = forge(check("one"), check("kept", clause="X-2", plane=Plane.STORE))
    assert {"X-1/one", "X-2/kept"} == terms.expected().ids()


def waiver(until: str = "2026-06-30") -> Waiver:
    return Waiver("X-1", "the server is old", date.fromisoformat(until))


def test_a_waived_failure_is_shown_and_does_not_count(forge: Forge, check: Make) -> None:
    verdict = verdict_on(forge(check("one"), waivers=(waiver(),)), one=Status.FAIL)
    assert verdict.reached
    assert verdict.count(Status.WAIVED) == 1


@pytest.mark.parametrize(("today", "reached"), [("2026-06-30", True), ("2026-07-01", False)])
def test_a_waiver_lapses_after_its_date(forge: Forge, check: Make, today: str, reached: bool) -> None:
    verdict = verdict_on(forge(check("one"), waivers=(waiver(),), today=today), one=Status.FAIL)
    assert verdict.reached is reached
    assert reached or "lapsed after 2026-06-30" in verdict.reasons[0]


def test_a_waiver_excuses_no_check_that_did_not_run(forge: Forge, check: Make) -> None:
    assert not judge(forge(check("one"), waivers=(waiver(),)), {}).reached


def test_a_waiver_of_another_clause_excuses_nothing(forge: Forge, check: Make) -> None:
    terms = forge(check("one"), check("other", clause="X-2"), waivers=(waiver(),))
    verdict = judge(terms, {name: Outcome(check=name, status=Status.FAIL) for name in ("X-1/one", "X-2/other")})
    assert not verdict.reached
    assert verdict.reasons == ("X-2 failed: X-2/other",)
