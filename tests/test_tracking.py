"""Whether a copy may run: its record decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jobkit import records, tracking
from jobkit.envelope import WIRE_VERSION, Envelope, Failure
from jobkit.records import State, Stored
from jobkit.store import Expect, Record
from jobkit.tracking import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def envelope(generation: int = 1, spent: int = 0, tracked: bool = True) -> Envelope:
    return Envelope(
        v=WIRE_VERSION, id="a", type="t", queue="q", args=msgspec.Raw(b"{}"), enqueued_at=NOW,
        generation=generation, spent=spent, tracked=tracked,
    )  # fmt: skip


def stored(state: State, *, lease: float | None = None, generation: int = 1, spent: int = 0) -> Stored:
    until = None if lease is None else NOW + timedelta(seconds=lease)
    record = records.of(envelope(generation), state, track=False, lease_until=until, spent=spent)
    return Stored(record, None, "v")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, Verdict.RUN),
        (stored("sent"), Verdict.RUN),
        (stored("parked"), Verdict.RUN),
        (stored("running", lease=10), Verdict.BUSY),
        (stored("running", lease=0), Verdict.CRASHED),
        (stored("running", lease=-10), Verdict.CRASHED),
        (stored("running"), Verdict.CRASHED),
        (stored("custody", lease=10), Verdict.OVER),
        (stored("custody", lease=-10), Verdict.CRASHED),
        (stored("dead"), Verdict.OVER),
        (stored("ended"), Verdict.OVER),
        (stored("sent", generation=2), Verdict.OVER),
        (stored("parked", generation=2), Verdict.OVER),
        (stored("running", generation=2, lease=-10), Verdict.OVER),
        (stored("custody", generation=2, lease=-10), Verdict.OVER),
    ],
)
def test_a_copy_is_judged_by_its_record(found: Stored | None, verdict: Verdict) -> None:
    assert tracking.judge(found, envelope(), NOW) is verdict


def test_only_tracked_and_redelivered_jobs_are_looked_up() -> None:
    assert not tracking.needs_lookup(envelope(tracked=False), 1)
    assert tracking.needs_lookup(envelope(tracked=False), 2)
    assert tracking.needs_lookup(envelope(), 1)


def test_a_marked_start_claims_the_record_as_it_was_read() -> None:
    record, write = tracking.marked_start(envelope(), None, worker="w", now=NOW, lease=60, track=True)
    assert (record.state, record.worker, record.started_at, record.track) == ("running", "w", NOW, True)
    assert record.lease_until == NOW + timedelta(seconds=60)
    assert write.expect is Expect.ABSENT
    assert records.parse(Record(write.value or b"", "v")).record == record
    _, again = tracking.marked_start(envelope(), stored("sent"), worker="w", now=NOW, lease=60, track=False)
    assert again.expect == "v"


def test_what_was_spent_is_the_records_where_it_speaks_of_this_copy() -> None:
    assert tracking.spent(envelope(spent=2), None) == 2
    assert tracking.spent(envelope(spent=2), stored("running", spent=3)) == 3
    assert tracking.spent(envelope(spent=2), stored("running", spent=1)) == 2
    assert tracking.spent(envelope(spent=2), stored("running", generation=0, spent=9)) == 2


def test_what_only_the_record_knows_of_a_cut_off_decision_is_not_forgotten() -> None:
    first, second = (Failure(at=NOW + timedelta(seconds=number), attempt=number, error="E") for number in (1, 2))
    found = stored("sent", spent=2)
    found = Stored(found.record.replace(failures=(first, second)), None, "v")
    behind = envelope(spent=1).replace(failures=(first,))
    caught_up = tracking.caught_up(behind, found)
    assert (caught_up.spent, caught_up.failures) == (2, (first, second))
    record, _ = tracking.marked_start(behind, found, worker="w", now=NOW, lease=60, track=False)
    assert (record.spent, record.failures) == (2, (first, second))
    level = envelope(spent=2).replace(failures=(first, second))
    assert tracking.caught_up(level, found) is level
    assert tracking.caught_up(behind, None) is behind


def test_after_a_replay_the_latest_failure_counts_and_not_the_highest_attempt() -> None:
    old, new = Failure(at=NOW, attempt=3, error="E"), Failure(at=NOW + timedelta(seconds=9), attempt=1, error="E")
    found = Stored(stored("sent").record.replace(failures=(old, new)), None, "v")
    assert tracking.failures(envelope().replace(failures=(old,)), found) == (old, new)


def test_the_rest_of_a_lease_is_never_negative() -> None:
    assert tracking.remaining_lease(stored("running", lease=5).record, NOW) == 5
    assert tracking.remaining_lease(stored("running", lease=-5).record, NOW) == 0
    assert tracking.remaining_lease(stored("running").record, NOW) == 0
