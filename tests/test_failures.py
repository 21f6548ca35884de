"""What a job carries of its failures stays within its room, whatever was raised."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit import decision, failures
from jobkit.enqueueing import ROOM_FOR_FAILURES
from jobkit.envelope import Failure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(), max_size=50) | st.sampled_from(
    ["x" * 30_000, "\x00" * 9_000, "\U0001f600" * 9_000, "\n"]
)


def size(value: object) -> int:
    return len(msgspec.json.encode(value))


@given(st.text(st.characters()), st.integers(0, 400))
def test_a_text_is_cut_to_its_bytes_and_can_be_encoded(text: str, limit: int) -> None:
    assert size(failures.fit(text, limit)) - 2 <= limit


def test_a_text_that_fits_is_left_as_it_is_and_one_that_does_not_keeps_both_ends() -> None:
    assert failures.fit("short", 300) == "short"
    cut = failures.fit("begin" + "x" * 10_000 + "end", 300)
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert "characters left out" in cut


def test_what_is_no_unicode_is_spelled_out() -> None:
    assert failures.fit("file \udcff", 300) == "file \\udcff"


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=40))
def test_all_failures_together_stay_within_their_budget(texts: list[tuple[str, str, str]]) -> None:
    """Each one made as the worker makes it, the bound holds after every one of them."""
    kept: tuple[Failure, ...] = ()
    for attempt, (message, traceback, _) in enumerate(texts, 1):
        kept = failures.with_failure(
            kept,
            Failure(
                at=NOW,
                attempt=attempt,
                error="e" * 200,
                message=failures.fit(message, failures.MESSAGE),
                traceback=failures.fit(traceback, failures.TRACEBACK),
                worker="w" * 90,
            ),
        )
        assert size(kept) <= failures.BUDGET
        assert len(kept) <= failures.KEPT
        assert (kept[0].attempt, kept[-1].attempt) == (1, attempt)
        assert [one.attempt for one in kept] == sorted({one.attempt for one in kept})


def test_a_dead_letter_holds_them_twice_and_still_fits_the_room() -> None:
    assert 2 * failures.BUDGET + 8 * 1024 <= ROOM_FOR_FAILURES


def test_strangers_failures_are_brought_within_the_budget_too() -> None:
    huge = Failure(at=NOW, attempt=1, error="e" * 9_000, message="m" * 90_000, traceback="t" * 90_000, worker="w" * 9_000)
    mine = Failure(at=NOW, attempt=9, error="e", message="mine", traceback="whole")
    kept = failures.with_failure([huge] * 8, mine)
    assert size(kept) <= failures.BUDGET
    assert kept[-1] == mine


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("\udcff"),
        Silent(),
        ValueError("x" * 10**6),
        ExceptionGroup("g", [ValueError("a")] * 500),
        KeyboardInterrupt(),
    ],
)
def test_whatever_is_raised_becomes_an_outcome_that_can_be_stored(error: BaseException) -> None:
    outcome = decision.failed(error)
    assert size(outcome.message) <= failures.MESSAGE + 2
    assert size(outcome.traceback) <= failures.TRACEBACK + 2
    assert outcome.kinds[-1] == "builtins.BaseException"


def test_a_failure_keeps_its_traceback_its_cause_and_what_was_asked_for() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        outcome = decision.failed(error, after=5, final=True)
    assert (outcome.kinds[0], outcome.message, outcome.after, outcome.final) == ("builtins.ValueError", "outer", 5, True)
    assert "KeyError: 'inner'" in outcome.traceback
    assert __file__ in outcome.traceback
