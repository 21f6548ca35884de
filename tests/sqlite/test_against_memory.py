"""Whatever is done to it, SQLite answers as the reference does."""

from __future__ import annotations

import tempfile
import threading
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobkit.clock import ManualClock
from jobkit.memory import MemoryAdapter
from jobkit.sqlite.adapter import SqliteAdapter
from jobkit.store import Expect, Key, Record, Store, Write
from jobkit.transport import Again, Delivery, Done, Message, Settlement, Transport
from jobkit.url import Url

NEVER = threading.Event()

names = st.sampled_from("abcd")
queues = st.sampled_from(["q", "r"])
bodies = st.binary(max_size=3)
seconds = st.sampled_from([0.0, 1.0, 5.0, 30.0])
sends = st.tuples(names, queues, bodies, seconds)
picks = st.integers(0, 8)

transport_steps = st.one_of(
    st.tuples(st.just("send"), st.lists(sends, max_size=4)),
    st.tuples(st.just("receive"), st.lists(queues, max_size=2, unique=True), st.integers(1, 3), seconds.filter(bool)),
    st.tuples(
        st.just("settle"), st.lists(st.tuples(picks, st.none() | bodies, seconds, st.lists(sends, max_size=2)), max_size=3)
    ),
    st.tuples(st.just("extend"), st.lists(picks, max_size=3), seconds.filter(bool)),
    st.tuples(st.just("purge"), queues),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 2.0, 10.0])),
)

versions = st.sampled_from(["ANY", "ABSENT", "current", "older"])
writes = st.tuples(names, st.none() | bodies, versions, st.none() | seconds.filter(bool))
store_steps = st.one_of(
    st.tuples(st.just("put"), st.lists(writes, max_size=3, unique_by=lambda write: write[0])),
    st.tuples(st.just("look")),
    st.tuples(st.just("scan"), st.sampled_from(["", *"abcd"]), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 2.0, 10.0])),
)

slow_is_fine = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


class Borrower:
    """Carries out steps on one transport, and tells what can be compared: no receipt, and no order that is not promised."""

    def __init__(self, transport: Transport, clock: ManualClock) -> None:
        self._transport = transport
        self._clock = clock
        self._loans: list[Delivery] = []

    def step(self, name: str, *arguments: Any) -> object:
        return getattr(self, name)(*arguments)

    def send(self, given: list[tuple[str, str, bytes, float]]) -> object:
        return self._transport.send([message(*each) for each in given])

    def receive(self, queues: list[str], limit: int, lease: float) -> object:
        """All of it: which of several come first after an `Again` is not promised."""
        found = self._transport.receive(queues, limit=100, wait=0, lease=lease, stop=NEVER)
        found.sort(key=lambda delivery: (delivery.message.queue, delivery.message.id))
        self._loans += found
        return [(each.message.id, each.message.queue, each.message.body, each.receives, each.lease_until) for each in found]

    def settle(self, given: list[tuple[int, bytes | None, float, list[tuple[str, str, bytes, float]]]]) -> object:
        settlements: list[Settlement] = []
        for pick, body, delay, then in given:
            if pick < len(self._loans):
                old = self._loans[-pick]
                replaced = message(old.message.id, old.message.queue, body or b"", delay)
                # Whether a batch's successor may follow a job that the same batch ends is not promised.
                successors = [message(*each) for each in then] if len(given) == 1 else []
                settlements.append(Done(old, successors) if body is None else Again(old, replaced))
        return self._transport.settle(settlements)

    def extend(self, picks: list[int], lease: float) -> object:
        return self._transport.extend([self._loans[-pick] for pick in picks if pick < len(self._loans)], lease=lease)

    def purge(self, queue: str) -> object:
        return self._transport.purge(queue)

    def advance(self, seconds: float) -> object:
        self._clock.advance(seconds)
        return None

    def counts(self) -> object:
        return [(each.ready, each.delayed, each.leased) for each in self._transport.depth(["q", "r"])]


class Keeper:
    """Carries out steps on one store. Versions are told by the order in which they were seen."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self._store = store
        self._clock = clock
        self._seen: list[str] = []

    def step(self, name: str, *arguments: Any) -> object:
        return getattr(self, name)(*arguments)

    def put(self, given: list[tuple[str, bytes | None, str, float | None]]) -> object:
        answers = self._store.put(
            [Write(Key("box", name), value, self._expect(name, how), ttl) for name, value, how, ttl in given]
        )
        return [(answer.answer, answer.version and self._number(answer.version)) for answer in answers]

    def look(self) -> object:
        records = self._store.get([Key("box", name) for name in "abcd"])
        return [each and self._shown(each) for each in records], self._store.count("box", limit=3)

    def scan(self, after: str, limit: int, reverse: bool) -> object:
        found = self._store.scan("box", after=after, limit=limit, reverse=reverse)
        return [(name, self._shown(record)) for name, record in found]

    def advance(self, seconds: float) -> object:
        self._clock.advance(seconds)
        return None

    def _expect(self, name: str, how: str) -> str | Expect:
        if how in ("ANY", "ABSENT"):
            return Expect[how]
        (record,) = self._store.get([Key("box", name)])
        if how == "current" and record is not None:
            return record.version
        return self._seen[0] if self._seen else "none"

    def _shown(self, record: Record) -> tuple[bytes, int]:
        return record.value, self._number(record.version)

    def _number(self, version: str) -> int:
        if version not in self._seen:
            self._seen.append(version)
        return self._seen.index(version)


def message(name: str, queue: str, body: bytes, delay: float) -> Message:
    return Message(id=name, queue=queue, body=body, delay=delay)


@slow_is_fine
@given(st.lists(transport_steps, max_size=30))
def test_a_transport_answers_every_sequence_of_calls_as_the_reference_does(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        clocks = ManualClock(), ManualClock()
        reference = Borrower(MemoryAdapter(clocks[0]).transport(Url.parse("memory://")), clocks[0])
        transport = SqliteAdapter(clocks[1]).transport(Url.parse(f"sqlite:///{directory}/jobs.db?synchronous=normal"))
        mine = Borrower(transport, clocks[1])
        for step in steps:
            assert mine.step(*step) == reference.step(*step), step
            assert mine.counts() == reference.counts(), step
        transport.close()


@slow_is_fine
@given(st.lists(store_steps, max_size=30))
def test_a_store_answers_every_sequence_of_calls_as_the_reference_does(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        clocks = ManualClock(), ManualClock()
        reference = Keeper(MemoryAdapter(clocks[0]).store(Url.parse("memory://")), clocks[0])
        store = SqliteAdapter(clocks[1]).store(Url.parse(f"sqlite:///{directory}/jobs.db?synchronous=normal"))
        mine = Keeper(store, clocks[1])
        for step in steps:
            assert mine.step(*step) == reference.step(*step), step
        store.close()
