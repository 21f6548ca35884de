"""
The reference adapter: a broker and a store in this process's memory, written to be read and copied.

It keeps every promise but two: it is not durable, and no other process shares it. ``memory://`` and ``memory://?namespace=x``
name two of them; whoever names the same one in the same process gets the same messages and records.

The options ``max_delay``, ``max_lease``, ``max_body``, ``max_value`` and ``atomic`` lower what it declares, so that the
core's bridges over a lesser broker's limits can be exercised without one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from datetime import datetime

import attrs

from jobkit.adapter import LINE, Change, Finding, check_namespace
from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import Closed
from jobkit.store import Expect, Key, Record, StoreCapabilities, Write, Written, check_keys, check_writes
from jobkit.transport import (
    Again,
    Answer,
    Delivery,
    Depth,
    Done,
    Message,
    Sent,
    Settled,
    Settlement,
    TransportCapabilities,
    check_messages,
)
from jobkit.url import Url

FOREVER = 10 * 365 * 86400.0
YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)


@attrs.frozen
class Options:
    """What a ``memory://`` URL may say after its question mark."""

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    max_delay: float = FOREVER
    max_lease: float = FOREVER
    max_body: int = 16 * 1024 * 1024
    max_value: int = 16 * 1024 * 1024
    atomic: bool = True


@attrs.define(eq=False)
class _Job:
    """
    A message in the broker. *token* is None unless it is on loan, and then names that one loan; *queued* says that it
    stands among the ready.
    """

    message: Message
    sequence: int
    due: float
    receives: int = 0
    token: int | None = None
    lease_until: float = 0.0
    queued: bool = False


class _Queue:
    """
    One queue: the ready in order of arrival, and the waiting (delayed or on loan) in order of the time at which they
    are due. Entries are not removed from the heaps when a job is settled or moved: they are recognised as stale when
    they surface, which keeps every operation O(log n).
    """

    def __init__(self) -> None:
        self._ticks = itertools.count()
        self.ready: list[tuple[int, _Job]] = []
        self.waiting: list[tuple[float, int, _Job]] = []
        self.jobs: dict[str, _Job] = {}

    def put(self, job: _Job, now: float) -> None:
        self.jobs[job.message.id] = job
        if job.due <= now:
            self._make_ready(job)
        else:
            self.wait_until(job, job.due)

    def wait_until(self, job: _Job, when: float) -> None:
        heapq.heappush(self.waiting, (when, next(self._ticks), job))

    def promote(self, now: float) -> None:
        """Make ready what is due by *now*: delays that have passed, and loans that have lapsed."""
        while self.waiting and self.waiting[0][0] <= now:
            when, _, job = heapq.heappop(self.waiting)
            if not self._is_current(job, when):
                continue
            if job.token is not None:
                job.token, job.due = None, now
            self._make_ready(job)

    def take(self) -> _Job | None:
        while self.ready:
            _, job = heapq.heappop(self.ready)
            job.queued = False
            if self.jobs.get(job.message.id) is job and job.token is None:
                return job
        return None

    def next_due(self) -> float | None:
        while self.waiting and not self._is_current(self.waiting[0][2], self.waiting[0][0]):
            heapq.heappop(self.waiting)
        return self.waiting[0][0] if self.waiting else None

    def _make_ready(self, job: _Job) -> None:
        if not job.queued:  # two entries of one job may surface at the same instant
            job.queued = True
            heapq.heappush(self.ready, (job.sequence, job))

    def _is_current(self, job: _Job, when: float) -> bool:
        expected = job.due if job.token is None else job.lease_until
        return self.jobs.get(job.message.id) is job and expected == when


class Broker:
    """What the transports of one namespace share. One lock guards it all; one condition wakes who waits for messages."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.queues: dict[str, _Queue] = {}
        self.numbers = itertools.count(1)


class MemoryTransport:
    """The reference transport: one holder's handle on a `Broker`."""

    def __init__(self, broker: Broker, options: Options | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        options = options or Options()
        self.capabilities = TransportCapabilities(
            name="memory",
            durable=False,
            shared=False,
            atomic_again=options.atomic,
            atomic_successors=options.atomic,
            single_delivery=True,
            fence="broker",
            transactional=False,
            exact_counts=True,
            knows_age=True,
            max_delay=options.max_delay,
            max_lease=options.max_lease,
            max_body=options.max_body,
            min_lease=0.01,
            wake_latency=0.25,
            lease_slack=0.25,
        )
        self._clock = clock
        self._changed = broker.changed
        self._queues = broker.queues
        self._numbers = broker.numbers
        self._closed = False

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        with self._changed:
            self._check_open()
            for message in messages:
                self._store(message)
            self._changed.notify_all()
        return [Sent(Answer.YES) for _ in messages]

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        deadline = self._clock.steady() + wait
        with self._changed:
            while True:
                self._check_open()
                deliveries = self._claim(queues, limit, lease)
                rest = deadline - self._clock.steady()
                if deliveries or rest <= 0 or stop.is_set():
                    return deliveries
                self._clock.wait(self._changed, min(rest, 0.2, self._until_next_due(queues)))

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        check_messages(successors_of(settlements), self.capabilities)
        with self._changed:
            self._check_open()
            answers = [self._settle_one(settlement) for settlement in settlements]
            self._changed.notify_all()
        return answers

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        with self._changed:
            self._check_open()
            return [self._extend_one(delivery, lease) for delivery in deliveries]

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        with self._changed:
            self._check_open()
            return [self._depth_of(name) for name in queues or sorted(self._queues)]

    def purge(self, queue: str) -> int | None:
        with self._changed:
            self._check_open()
            jobs = self._queue(queue).jobs
            gone = [name for name, job in jobs.items() if job.token is None or job.lease_until <= self._clock.steady()]
            for name in gone:
                del jobs[name]
        return len(gone)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # Everything below runs under the lock.

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this memory transport is closed")

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue())

    def _store(self, message: Message) -> None:
        queue = self._queue(message.queue)
        if message.id in queue.jobs:  # a repeated send whose first reply was lost
            return
        now = self._clock.steady()
        queue.put(_Job(message, next(self._numbers), now + message.delay), now)

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        now = self._clock.steady()
        deliveries: list[Delivery] = []
        for queue in map(self._queue, queues):
            queue.promote(now)
            while len(deliveries) < limit and (job := queue.take()):
                deliveries.append(self._lend(queue, job, now + lease))
        return deliveries

    def _lend(self, queue: _Queue, job: _Job, until: float) -> Delivery:
        job.receives += 1
        job.token, job.lease_until = next(self._numbers), until
        queue.wait_until(job, until)
        return Delivery(message=job.message, receives=job.receives, lease_until=until, receipt=job.token)

    def _lent(self, delivery: Delivery) -> _Job | None:
        """The job that *delivery* still holds. A lapsed loan is over even if nobody has taken the job since."""
        job = self._queue(delivery.message.queue).jobs.get(delivery.message.id)
        if job is None or job.token != delivery.receipt or job.lease_until <= self._clock.steady():
            return None
        return job

    def _settle_one(self, settlement: Settlement) -> Settled:
        job = self._lent(settlement.delivery)
        if job is None:
            return LOST
        queue = self._queue(job.message.queue)
        del queue.jobs[job.message.id]
        match settlement:
            case Done(then=then):
                for message in then:
                    self._store(message)
            case Again(message=message):
                self._store(message)
        return YES

    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        job = self._lent(delivery)
        if job is None:
            return LOST
        job.lease_until = self._clock.steady() + lease
        self._queue(job.message.queue).wait_until(job, job.lease_until)
        return YES

    def _until_next_due(self, queues: Sequence[str]) -> float:
        times = [due for name in queues if (due := self._queue(name).next_due()) is not None]
        return max(0.001, min(times) - self._clock.steady()) if times else FOREVER

    def _depth_of(self, name: str) -> Depth:
        queue, now = self._queue(name), self._clock.steady()
        queue.promote(now)
        ready = [job.due for job in queue.jobs.values() if job.token is None and job.due <= now]
        leased = sum(1 for job in queue.jobs.values() if job.token is not None)
        return Depth(
            queue=name,
            ready=len(ready),
            delayed=len(queue.jobs) - len(ready) - leased,
            leased=leased,
            oldest_age=now - min(ready) if ready else None,
        )


def successors_of(settlements: Sequence[Settlement]) -> list[Message]:
    """All messages that *settlements* would store, once each `Again` has been found to keep its id and queue."""
    messages: list[Message] = []
    for settlement in settlements:
        match settlement:
            case Done(then=then):
                messages.extend(then)
            case Again(delivery=delivery, message=message):
                if (message.id, message.queue) != (delivery.message.id, delivery.message.queue):
                    raise ValueError("Again keeps the message's id and queue")
                messages.append(message)
    return messages


@attrs.define
class _Row:
    value: bytes
    version: str
    expires: float | None


class Table:
    """What the stores of one namespace share: rows by key, and the sorted names of each collection."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[Key, _Row] = {}
        self.names: dict[str, list[bytes]] = {}
        self.versions = itertools.count(1)


class MemoryStore:
    """The reference store: one holder's handle on a `Table`."""

    def __init__(self, table: Table, options: Options | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        options = options or Options()
        self.capabilities = StoreCapabilities(
            name="memory", durable=False, shared=False, transactional=False, max_value=options.max_value
        )
        self._clock = clock
        self._lock = table.lock
        self._rows = table.rows
        self._names = table.names
        self._versions = table.versions
        self._closed = False

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        check_keys(keys)
        with self._lock:
            self._check_open()
            return [self._record(self._row(key)) for key in keys]

    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        with self._lock:
            self._check_open()
            return [self._write(write) for write in writes]

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        check_keys([Key(collection, after or "-")])
        with self._lock:
            self._check_open()
            found: list[tuple[str, Record]] = []
            for encoded in self._names_beyond(collection, after.encode(), reverse):
                name = encoded.decode()
                if len(found) == limit:
                    break
                record = self._record(self._row(Key(collection, name)))
                if record is not None:
                    found.append((name, record))
            return found

    def count(self, collection: str, *, limit: int) -> int:
        return len(self.scan(collection, limit=limit))

    def now(self) -> datetime:
        return self._clock.now()

    def close(self) -> None:
        self._closed = True

    # Everything below runs under the lock.

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this memory store is closed")

    def _row(self, key: Key) -> _Row | None:
        """The row at *key*, unless it has expired; an expired one is removed on the way."""
        row = self._rows.get(key)
        if row is not None and row.expires is not None and row.expires <= self._clock.steady():
            self._remove(key)
            return None
        return row

    @staticmethod
    def _record(row: _Row | None) -> Record | None:
        return None if row is None else Record(row.value, row.version)

    def _write(self, write: Write) -> Written:
        row = self._row(write.key)
        if not _holds(write.expect, row):
            return Written(Answer.LOST)
        if write.value is None:
            if row is not None:
                self._remove(write.key)
            return Written(Answer.YES)
        if row is None:
            insort(self._names.setdefault(write.key.collection, []), write.key.name.encode())
        version = str(next(self._versions))
        expires = None if write.ttl is None else self._clock.steady() + write.ttl
        self._rows[write.key] = _Row(bytes(write.value), version, expires)
        return Written(Answer.YES, version)

    def _remove(self, key: Key) -> None:
        del self._rows[key]
        names = self._names[key.collection]
        del names[bisect_left(names, key.name.encode())]

    def _names_beyond(self, collection: str, after: bytes, reverse: bool) -> list[bytes]:
        """A copy, since looking at a row may remove it."""
        names = self._names.get(collection, [])
        if not reverse:
            return names[bisect_right(names, after) :]
        return names[: bisect_left(names, after) if after else len(names)][::-1]


def _holds(expect: str | Expect, row: _Row | None) -> bool:
    if expect is Expect.ANY:
        return True
    if expect is Expect.ABSENT:
        return row is None
    return row is not None and row.version == expect


class MemoryAdapter:
    """
    What the entry point names. Its brokers and tables live until `teardown`, or until the process ends.

    Args:
        clock: For tests that hold the clock in their hand.
    """

    line = LINE

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._brokers: dict[str, Broker] = {}
        self._tables: dict[str, Table] = {}

    def transport(self, url: Url) -> MemoryTransport:
        options = url.options(Options)
        with self._lock:
            broker = self._brokers.setdefault(options.namespace, Broker())
        return MemoryTransport(broker, options, self._clock)

    def store(self, url: Url) -> MemoryStore:
        options = url.options(Options)
        with self._lock:
            table = self._tables.setdefault(options.namespace, Table())
        return MemoryStore(table, options, self._clock)

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        url.options(Options)
        return []

    def teardown(self, url: Url) -> None:
        namespace = url.options(Options).namespace
        with self._lock:
            self._brokers.pop(namespace, None)
            self._tables.pop(namespace, None)

    def check(self, url: Url) -> list[Finding]:
        url.options(Options)
        return [Finding("warning", "jobs live in this process's memory", "use sqlite:///jobs.db to keep them")]


adapter = MemoryAdapter()
