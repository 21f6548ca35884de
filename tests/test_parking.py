"""Parked jobs: sent when they are due, in order, once, whoever sends them and whatever lies in their way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jobkit import codec, decision, parking, records, tracking
from jobkit.backend import Backend
from jobkit.clock import ManualClock
from jobkit.envelope import WIRE_VERSION, Envelope
from jobkit.memory import MemoryAdapter
from jobkit.parking import Leadership, Pass
from jobkit.records import Stored
from jobkit.store import Expect, Key, Write
from jobkit.tracking import Verdict
from jobkit.transport import Answer, Delivery, Message, Sent
from jobkit.url import Url

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = threading.Event()


class Place:
    def __init__(self, query: str = "") -> None:
        self.clock = ManualClock(NOW)
        self._adapter, self._url = MemoryAdapter(self.clock), Url.parse(f"memory://{query}")
        self.backend = self.open()

    def open(self) -> Backend:
        """Another process's handle on the same broker and store."""
        transport, store = self._adapter.transport(self._url), self._adapter.store(self._url)
        return Backend(transport, store, same_database=False, clock=self.clock)

    def envelope(self, name: str, **changes: Any) -> Envelope:
        base = Envelope(v=WIRE_VERSION, id=name, type="t", queue="q", args=msgspec.Raw(b"{}"), enqueued_at=NOW)
        return base.replace(**changes)

    def park(self, name: str, delay: float, **changes: Any) -> None:
        writes = decision.park_new(self.envelope(name, **changes), self.clock.now() + timedelta(seconds=delay))
        self.backend.store.put([writes[0]])
        self.backend.store.put([writes[1]])

    def promote(self) -> Pass:
        return parking.promote(self.backend)

    def receive(self) -> list[Delivery]:
        return self.backend.transport.receive(["q"], limit=1000, wait=0, lease=60, stop=NEVER)

    def received(self) -> list[str]:
        return [delivery.message.id for delivery in self.receive()]

    def record(self, name: str) -> Stored:
        [stored] = records.read(self.backend.store, [name])
        assert stored is not None
        return stored

    def entries(self, collection: str = records.DUE) -> list[str]:
        return [name for name, _ in self.backend.store.scan(collection, limit=1000)]


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_is_due_is_sent_in_the_order_of_its_time_and_the_rest_stays(place: Place) -> None:
    for name, delay in (("c", 30), ("a", 10), ("b", 20), ("d", 100)):
        place.park(name, delay)
    assert place.promote() == Pass(0, 10)
    place.clock.advance(30)
    assert place.promote() == Pass(3, 70)
    assert place.received() == ["a", "b", "c"]
    assert place.record("a").record.state == "sent"
    assert place.record("a").body is None
    assert len(place.entries()) == 1
    place.clock.advance(70)
    assert place.promote() == Pass(1, None)
    assert place.promote() == Pass(0, None)


def test_more_than_a_batch_is_sent_by_further_looks_at_once(place: Place) -> None:
    for number in range(parking.BATCH + 5):
        place.park(f"j{number}", 1)
    place.clock.advance(1)
    assert place.promote() == Pass(parking.BATCH, 0.0)
    assert place.promote() == Pass(5, None)
    assert len(place.received()) == parking.BATCH + 5


def test_several_promoters_at_once_send_each_job_once(place: Place) -> None:
    for number in range(300):
        place.park(f"j{number}", 1)
    place.clock.advance(1)
    backends = [place.open() for _ in range(4)]

    def work(backend: Backend) -> None:
        while parking.promote(backend).next is not None:
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, backends))
    while place.promote().next is not None:
        pass
    assert sorted(place.received()) == sorted(f"j{number}" for number in range(300))
    assert place.entries() == []


def test_a_worker_that_was_quicker_than_the_promoter_keeps_its_record(place: Place) -> None:
    place.park("a", 1)
    place.clock.advance(1)
    started = threading.Event()
    send = place.backend.transport.send

    def send_and_start(messages: list[Message]) -> list[Sent]:
        answers = send(messages)
        [delivery] = place.receive()
        envelope, stored = codec.decode(delivery.message.body), place.record("a")
        assert tracking.judge(stored, envelope, place.clock.now()) is Verdict.RUN
        _, write = tracking.marked_start(envelope, stored, worker="w", now=place.clock.now(), lease=60, track=False)
        assert place.backend.store.put([write])[0].answer is Answer.YES
        started.set()
        return answers

    place.backend.transport.send = send_and_start  # type: ignore[method-assign, assignment]
    assert place.promote().sent == 1
    assert started.is_set()
    assert place.record("a").record.state == "running"
    assert place.entries() == []


def custody(place: Place, name: str, lease: float) -> None:
    """A running job that the store has taken over."""
    envelope = place.envelope(name, tracked=True, generation=1)
    until = place.clock.now() + timedelta(seconds=lease)
    record = records.of(
        envelope, "custody", track=False, worker="w", lease_until=until, entry=records.instant_name(until, name)
    )
    place.backend.store.put([records.write(name, record, codec.encode(envelope), expect=Expect.ANY)])
    place.backend.store.put([records.due_entry(name, record.entry)])


def test_a_job_in_custody_is_left_alone_while_its_worker_lives_and_looked_at_again(place: Place) -> None:
    custody(place, "a", 60)
    place.clock.advance(61)
    stored = place.record("a")
    longer = stored.record.replace(lease_until=place.clock.now() + timedelta(seconds=30))
    place.backend.store.put([records.write("a", longer, stored.body, expect=stored.version)])
    version = place.record("a").version
    assert place.promote() == Pass(0, None)
    assert place.record("a").version == version, "the record is its worker's"
    assert [records.due_time(name) for name in place.entries()] == [longer.lease_until]
    place.clock.advance(30)
    assert place.promote().sent == 1
    assert place.received() == ["a.1"]
    assert tracking.judge(place.record("a"), place.envelope("a", generation=1), place.clock.now()) is Verdict.CRASHED


def test_a_lapsed_custody_received_before_its_record_has_moved_on_is_taken_over_and_not_voided(place: Place) -> None:
    """Between the send and the record's write another worker may have the copy in hand already: it is the only one."""
    custody(place, "a", 60)
    place.clock.advance(61)
    verdicts: list[Verdict] = []
    send = place.backend.transport.send

    def send_and_judge(messages: list[Message]) -> list[Sent]:
        answers = send(messages)
        [delivery] = place.receive()
        verdicts.append(tracking.judge(place.record("a"), codec.decode(delivery.message.body), place.clock.now()))
        return answers

    place.backend.transport.send = send_and_judge  # type: ignore[method-assign, assignment]
    place.promote()
    assert verdicts == [Verdict.CRASHED]


def test_an_entry_without_its_record_or_of_a_job_that_moved_on_is_removed(place: Place) -> None:
    place.park("ended", 1)
    ended = records.of(place.envelope("ended"), "ended", track=False)
    place.backend.store.put([records.write("ended", ended, expect=Expect.ANY)])
    place.backend.store.put([records.due_entry("nobody", records.instant_name(NOW, "nobody"))])
    place.clock.advance(1)
    assert place.promote() == Pass(0, None)
    assert place.entries() == []
    assert place.received() == []


def test_an_entry_of_another_time_leads_to_the_one_that_the_record_names(place: Place) -> None:
    """The first enqueue died between record and entry; the second one wrote an entry of its own time."""
    place.park("a", 100)
    [named] = place.entries()
    place.backend.store.put([Write(Key(records.DUE, named), None)])
    place.backend.store.put([records.due_entry("a", records.instant_name(NOW, "a"))])
    assert place.promote() == Pass(0, None)
    assert place.entries() == [named]
    place.clock.advance(100)
    assert place.promote().sent == 1


def test_a_replays_entry_is_kept_while_its_record_may_follow_and_no_longer(place: Place) -> None:
    dead = records.of(place.envelope("a"), "dead", track=False)
    place.backend.store.put([records.write("a", dead, b"body", expect=Expect.ANY)])
    place.backend.store.put([records.due_entry("a", records.instant_name(NOW, "a"))])
    place.clock.advance(parking.SETTLING - 1)
    place.promote()
    assert len(place.entries()) == 1
    place.clock.advance(2)
    place.promote()
    assert place.entries() == []


def refuse(place: Place) -> None:
    def send(messages: list[Message]) -> list[Sent]:
        return [Sent(Answer.FAILED, "no such queue") if one.id == "bad" else good([one])[0] for one in messages]

    good = place.backend.transport.send
    place.backend.transport.send = send  # type: ignore[method-assign, assignment]


def damage(place: Place) -> None:
    stored = place.record("bad")
    place.backend.store.put([records.write("bad", stored.record, b"{damaged", expect=stored.version)])


def grow(place: Place) -> None:
    stored = place.record("bad")
    big = place.envelope("bad", tracked=True, args=msgspec.Raw(b'{"a":"' + b"x" * 2000 + b'"}'))
    place.backend.store.put([records.write("bad", stored.record, codec.encode(big), expect=stored.version)])


@pytest.mark.parametrize(
    ("spoil", "reason"), [(refuse, "no such queue"), (damage, "not an envelope"), (grow, "takes 1000 at most")]
)
def test_what_can_never_be_sent_dies_with_the_reason_and_keeps_nobody_from_being_sent(
    spoil: Callable[[Place], None], reason: str
) -> None:
    place = Place("?max_body=1000")
    for name in ("good", "bad", "other"):
        place.park(name, 1)
    spoil(place)
    place.clock.advance(1)
    assert place.promote().sent == 2
    assert sorted(place.received()) == ["good", "other"]
    stored = place.record("bad")
    assert stored.record.state == "dead"
    assert reason in stored.record.reason
    assert stored.body
    assert place.entries() == []
    assert place.entries(records.DEAD) == [stored.record.entry]


def test_one_process_leads_at_a_time_and_another_takes_over_after_its_lease(place: Place) -> None:
    one, two = (Leadership(place.open(), parking.LEADER, name, 10) for name in ("one", "two"))
    assert one.held()
    assert not two.held()
    place.clock.advance(5)
    assert one.held()
    assert not two.held()
    place.clock.advance(11)
    assert two.held()
    assert not one.held()


def test_a_leader_that_leaves_makes_room_at_once(place: Place) -> None:
    one, two = (Leadership(place.open(), parking.LEADER, name, 10) for name in ("one", "two"))
    assert one.held()
    one.release()
    assert not one.held() or not two.held()
    place.clock.advance(4)
    assert [one.held(), two.held()].count(True) == 1


def test_single_jobs_can_be_sent_ahead_of_the_promoter(place: Place) -> None:
    place.park("a", 0)
    place.park("b", 0)
    parking.promote_jobs(place.backend, ["b"])
    assert place.received() == ["b"]
    parking.promote_jobs(place.backend, ["nobody"])
