"""Records and the entries that point to them; certain answers where replies are lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit import records
from jobkit.envelope import WIRE_VERSION, Envelope, Failure
from jobkit.errors import Unavailable, Uncertain
from jobkit.memory import MemoryStore, Table
from jobkit.records import JobRecord
from jobkit.store import Expect, Key, Record, Write, Written
from jobkit.transport import Answer

NOW = datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
ENVELOPE = Envelope(v=WIRE_VERSION, id="a", type="t", queue="q", args=msgspec.Raw(b"{}"), enqueued_at=NOW, spent=2)


class Forgetful(MemoryStore):
    """Answers UNKNOWN, or raises, as often as it was told; *kept* says whether the write itself happened."""

    def __init__(self) -> None:
        super().__init__(Table())
        self.lost_replies = 0
        self.kept = True
        self.away = 0
        self.puts = 0

    def put(self, writes: Sequence[Write]) -> list[Written]:
        self.puts += 1
        if self.lost_replies:
            self.lost_replies -= 1
            if self.kept:
                super().put(writes)
            return [Written(Answer.UNKNOWN) for _ in writes]
        return super().put(writes)

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        return super().get(keys)


@pytest.fixture
def store() -> Forgetful:
    return Forgetful()


def write(state: records.State = "sent", expect: str | Expect = Expect.ABSENT) -> Write:
    return records.write("a", records.of(ENVELOPE, state, track=True), b"body", expect=expect)


@given(st.binary(), st.booleans())
def test_a_record_and_its_body_come_back_as_they_were(body: bytes, with_body: bool) -> None:
    record = records.of(ENVELOPE, "parked", track=True, due=NOW, entry="line\nfeed\u2028")
    made = records.write("a", record, body if with_body else None, expect=Expect.ANY)
    stored = records.parse(Record(made.value or b"", "v1"))
    assert (stored.record, stored.body, stored.version) == (record, body if with_body else None, "v1")


def test_a_record_says_of_its_job_what_lists_and_status_need() -> None:
    record = records.of(ENVELOPE, "sent", track=True)
    assert (record.type, record.queue, record.enqueued_at, record.spent, record.generation) == ("t", "q", NOW, 2, 0)


def test_two_changes_of_a_record_are_never_the_same_bytes() -> None:
    record = records.of(ENVELOPE, "sent", track=True)
    assert record.replace(spent=3) != record.replace(spent=3)


@given(st.lists(st.tuples(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)), st.integers(-12, 12)), min_size=2))  # noqa: DTZ001
def test_entries_are_ordered_by_their_instants_whatever_the_time_zone(parts: list[tuple[datetime, int]]) -> None:
    instants = [naive.replace(tzinfo=timezone(timedelta(hours=hours))) for naive, hours in parts]
    names = [records.instant_name(instant, "id") for instant in instants]
    assert sorted(instants) == [records.due_time(name) for name in sorted(names)]


def test_a_dead_letters_summary_is_small_whatever_the_job_says() -> None:
    failure = Failure(at=NOW, attempt=1, error="e" * 9000, message="m" * 9000, traceback="t" * 9000)
    record = JobRecord(
        state="dead", generation=0, type="t" * 200, queue="q", failures=(failure,), reason="", ended_at=NOW, entry="x"
    )
    made = records.dead_entry("a" * 128, record)
    assert len(made.value or b"") <= 1024
    assert records.parse_dead(Record(made.value or b"", "v")).message == "m" * 300


def test_many_are_read_in_one_go_in_order(store: Forgetful) -> None:
    store.put([write()])
    found = records.read(store, ["none", "a"])
    assert found[0] is None
    assert found[1] is not None
    assert found[1].body == b"body"
    assert records.read(store, []) == []


@pytest.mark.parametrize("kept", [True, False])
def test_after_a_lost_reply_the_store_is_asked_and_the_write_happens_once(store: Forgetful, kept: bool) -> None:
    store.lost_replies, store.kept = 1, kept
    [written] = records.put(store, [write()])
    assert written.answer is Answer.YES
    [found] = store.get([records.job_key("a")])
    assert found is not None
    assert written.version == found.version
    assert store.puts == (1 if kept else 2)


def test_asking_goes_on_for_a_while_and_then_says_that_it_does_not_know(store: Forgetful) -> None:
    store.lost_replies, store.away = 1, 3
    assert records.put(store, [write()])[0].answer is Answer.YES
    other = Forgetful()
    other.lost_replies, other.away = 1, 100
    with pytest.raises(Uncertain, match="replies to 1 writes were lost"):
        records.put(other, [write()])


def test_a_write_repeated_after_it_was_given_up_finds_itself(store: Forgetful) -> None:
    store.lost_replies, store.away = 1, 100
    same = write()
    with pytest.raises(Uncertain):
        records.put(store, [same])
    store.away = 0
    [written] = records.put(store, [same])
    assert written.answer is Answer.YES
    assert written.version is not None
    assert records.put(store, [write(expect=written.version)])[0].answer is Answer.YES


def test_a_compare_that_somebody_else_won_is_lost(store: Forgetful) -> None:
    assert records.put(store, [write()])[0].answer is Answer.YES
    assert records.put(store, [write()])[0].answer is Answer.LOST
    [found] = records.read(store, ["a"])
    assert found is not None
    assert records.put(store, [Write(records.job_key("a"), None, "0")])[0].answer is Answer.LOST


def test_no_writes_ask_nobody(store: Forgetful) -> None:
    assert records.put(store, []) == []
    assert store.puts == 0
