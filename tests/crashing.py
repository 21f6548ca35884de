"""
Crashes on purpose: a process that dies after its n-th call of store or broker, and a fresh worker that finishes.

Everything is memory under a clock to move by hand, so that each crash can be had at will, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jobkit import JobKit, records
from jobkit.backend import Backend
from jobkit.clock import ManualClock
from jobkit.memory import MemoryAdapter, MemoryStore
from jobkit.records import Stored
from jobkit.transport import Done, Settled, Settlement
from jobkit.url import Url
from jobkit.worker.heartbeat import Heartbeat
from jobkit.worker.inline import Inline
from jobkit.worker.runs import Buffer, Run
from jobkit.worker.settings import Settings
from jobkit.worker.settling import Settler
from jobkit.worker.workshop import Workshop

LEASE = 60.0
CALLS = ("send", "receive", "settle", "extend", "put", "get", "scan")
FINISH = 12_000.0
"""Seconds that the fresh worker gets: more than any delay of the scenarios."""


class Crash(BaseException):
    """The process has ended. Nothing in it may catch this and go on."""


class Tripwire:
    """Counts the calls of one process; from the *fatal* one on, that one carried out, there is no process any more."""

    def __init__(self, fatal: int | None) -> None:
        self.fatal = fatal
        self.calls: list[str] = []
        self.dead = False

    def call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise Crash
        answer = method(*args, **kwargs)
        self.calls.append(name)
        if len(self.calls) == self.fatal:
            self.dead = True
            raise Crash(f"after call {self.fatal}: {name}")
        return answer


class Watched:
    """A transport or store whose calls go over the tripwire."""

    def __init__(self, inner: Any, wire: Tripwire) -> None:
        self._inner = inner
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in CALLS:
            return found
        if name == "settle" and not self._inner.capabilities.atomic_successors:
            return self._settle_in_two_steps
        return lambda *args, **kwargs: self._wire.call(_described(name, args), found, *args, **kwargs)

    def _settle_in_two_steps(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """As a broker does that declares no atomic successors: they are sent first, and then the job goes."""
        then = [message for one in settlements if isinstance(one, Done) for message in one.then]
        if then:
            self._wire.call("send", self._inner.send, then)
        alone = [Done(one.delivery) if isinstance(one, Done) else one for one in settlements]
        answers: list[Settled] = self._wire.call("settle", self._inner.settle, alone)
        return answers


def _described(name: str, args: tuple[Any, ...]) -> str:
    """A put with the jobs whose records it writes."""
    ids = [write.key.name for write in args[0] if write.key.collection == records.JOBS] if name == "put" else []
    return " ".join([name, *ids])


class World:
    """One broker and one store, and the processes that come and go around them."""

    def __init__(self, app: JobKit, loop: asyncio.AbstractEventLoop, query: str = "") -> None:
        self.app = app
        self.clock = ManualClock()
        self.url = Url.parse(f"memory://{query}")
        self._adapter = MemoryAdapter(self.clock)
        self._loop = loop
        self.wire = Tripwire(None)

    @contextmanager
    def process(self, fatal: int | None = None) -> Iterator[Process]:
        """A process that dies after its call number *fatal*."""
        self.wire = Tripwire(fatal)
        transport: Any = Watched(self._adapter.transport(self.url), self.wire)
        store: Any = Watched(self._adapter.store(self.url), self.wire)
        backend = Backend(transport, store, same_database=False, clock=self.clock)
        before = self.app.use(backend)
        process = Process(self, backend, self._loop)
        try:
            yield process
        finally:
            process.close()
            self.app.use(before)

    def finish(self) -> None:
        """A fresh worker works until nothing is left to do."""
        with self.process() as worker:
            for _ in range(int(FINISH / LEASE)):
                worker.work()
                self.clock.advance(LEASE)
            worker.work()

    @property
    def store(self) -> MemoryStore:
        return self._adapter.store(self.url)

    def record(self, job_id: str) -> Stored | None:
        [stored] = records.read(self.store, [job_id])
        return stored

    def names(self, collection: str) -> list[str]:
        return [name for name, _ in self.store.scan(collection, limit=1000)]

    def in_broker(self) -> int:
        depths = self._adapter.transport(self.url).depth([])
        return sum((one.ready or 0) + (one.delayed or 0) + (one.leased or 0) for one in depths)


class _Inline(Inline):
    """Its jobs can be seen by a heartbeat."""

    def _run(self, run: Run) -> None:
        self._workshop.held.add([run])
        super()._run(run)


class Process:
    """One worker process without threads."""

    def __init__(self, world: World, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self.backend = backend
        self.workshop = Workshop(world.app, Settings(queues=("default",), lease=LEASE), backend)
        self.inline = _Inline(self.workshop, loop)
        self.heartbeat = Heartbeat(self.workshop, Buffer(), Settler(self.workshop))

    def work(self) -> None:
        """Run what is due until nothing is."""
        while self.inline.step():
            pass

    def close(self) -> None:
        self.inline.close()


def decided_after(calls: list[str], mark: int, job_id: str) -> bool:
    """Whether after its first *mark* calls the process got so far as to decide: the job's record, or the broker's settle."""
    return any(name == "settle" or (name.startswith("put") and job_id in name) for name in calls[mark:])
