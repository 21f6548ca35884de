"""
An app and its workers on a check's namespace: what the checks of the worker's plane stand on.

A worker is an engine in threads of this process, with handles of its own. Killing one is cutting it off: from then on no
call of it reaches the broker or the store. Where the backend is shared between processes, `Shop.killable` gives a real
process instead, and the kill is a real one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from jobkit import JobKit, records
from jobkit.backend import Backend
from jobkit.clock import steady
from jobkit.errors import Unavailable
from jobkit.queues import all_physical
from jobkit.records import JobRecord
from jobkit.store import Store
from jobkit.transport import Transport
from jobkit.worker.engine import Engine
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop
from jobkit_contract.around import AroundStore, AroundTransport, Greedy
from jobkit_contract.bench import QUEUES, Bench
from jobkit_contract.clause import Broken
from jobkit_contract.processes import Child
from jobkit_contract.staff import staff
from jobkit_contract.steps import GRACE, LONG, expect, nothing_comes, short_lease, until_lapsed

PHYSICAL = tuple(name for queue in QUEUES for name in all_physical(queue))

# What workers say about the trouble that checks make is for nobody to read.
logging.getLogger("jobkit").addHandler(logging.NullHandler())

TransportMaker = Callable[[Transport], Transport]
StoreMaker = Callable[[Store], Store]


def _as_it_is(handle: Any) -> Any:
    return handle


class Notes:
    """What handlers noted, in order; they say it at once, so a kill takes nothing back."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: list[tuple[str, float]] = []

    def __call__(self, text: str) -> None:
        with self._changed:
            self._taken.append((text, steady()))
            self._changed.notify_all()

    def all(self) -> list[str]:
        with self._changed:
            return [text for text, _ in self._taken]

    def times(self, text: str) -> list[float]:
        """When *text* was noted, each time, on the steady clock."""
        with self._changed:
            return [when for noted, when in self._taken if noted == text]

    def count(self, text: str) -> int:
        return len(self.times(text))

    def wait(self, text: str, count: int = 1, *, within: float = 0.0) -> None:
        """Until *text* was noted *count* times; *within* and grace seconds are given."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._number(text) >= count, within + GRACE)
        expect(came, f"{text!r} was to be noted {count} times, and was {self.count(text)} times")

    def wait_for_any(self, count: int, *, within: float = 0.0) -> None:
        """Until *count* notes were taken; *within* and grace seconds are given."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._taken) >= count, within + GRACE)
        expect(came, f"{count} notes were to be taken, and {len(self._taken)} were")

    def _number(self, text: str) -> int:
        return sum(noted == text for noted, _ in self._taken)


class Worker(Protocol):
    """A running worker, of either kind."""

    def stop(self, within: float = 0.0) -> float:
        """Ask it to stop, and wait for its end. Returns how many seconds that took."""

    def kill(self) -> None: ...
    def has_ended(self) -> bool: ...


class ThreadWorker:
    """An engine in threads of this process. It runs from the start."""

    def __init__(self, bench: Bench, jobs: JobKit, settings: Settings, transport: TransportMaker, store: StoreMaker) -> None:
        self._handles = bench.transport(), bench.store()
        self._dead = threading.Event()
        backend = Backend(
            AroundTransport(transport(self._handles[0]), self._check_alive),
            AroundStore(store(self._handles[1]), self._check_alive),
            same_database=False,
        )
        self.workshop = Workshop(jobs, settings, backend)
        self.engine = Engine(self.workshop)
        _tamper(bench, self.engine)
        bench.keep(self)
        self._running = bench.start(self.engine.run)

    @property
    def id(self) -> str:
        return self.workshop.id

    def stop(self, within: float = 0.0) -> float:
        begun = steady()
        self.engine.stop()
        try:
            self._running.result(within + GRACE)
        except TimeoutError:
            raise Broken(f"a worker was to stop within {within} s, and did not for {within + GRACE} s") from None
        return steady() - begun

    def kill(self) -> None:
        if not self._dead.is_set():
            self._dead.set()
            self.workshop.leaving.set()
            self.engine.stop()
            for handle in self._handles:
                handle.close()

    def has_ended(self) -> bool:
        return self._dead.is_set() or self._running.done()

    def close(self) -> None:
        """At the end of the check, whatever came of it."""
        self.kill()

    def _check_alive(self) -> None:
        if self._dead.is_set():
            raise Unavailable("this worker was killed")


class ProcessWorker:
    """A worker in a process of its own, running `jobkit_contract.staff.work`; what its handlers note goes to *notes*."""

    def __init__(self, child: Child, notes: Notes) -> None:
        self._child = child
        self._notes = notes
        self._ended = threading.Event()
        expect(child.hear() == "started", "a worker's first word")
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self, within: float = 0.0) -> float:
        begun = steady()
        self._child.terminate()
        expect(self._ended.wait(within + GRACE), f"a worker was to stop within {within} s, and did not")
        return steady() - begun

    def kill(self) -> None:
        self._child.kill()

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def _listen(self) -> None:
        while True:
            try:
                self._notes(self._child.hear(within=3600.0))
            except Broken:  # it has ended
                self._ended.set()
                return


class Shop:
    """
    An app on the bench's namespace, with the notes of its handlers.

    Args:
        jobs: The app; else one with the handlers of `jobkit_contract.staff`.
        transport, store: What to put around the sender's handles.
    """

    def __init__(
        self,
        bench: Bench,
        jobs: JobKit | None = None,
        *,
        transport: TransportMaker = _as_it_is,
        store: StoreMaker = _as_it_is,
    ) -> None:
        self.bench = bench
        self.notes = Notes()
        self.workers: list[Worker] = []
        self.transport = transport(bench.transport())
        self.store = store(bench.store())
        self.jobs = jobs or staff(self.notes, self._die)
        self.jobs.use(Backend(self.transport, self.store, same_database=False))
        _tamper(bench, self.jobs)
        bench.place.setup(PHYSICAL)

    @property
    def lease(self) -> float:
        """For checks in which leases end: long enough for a busy machine to keep one."""
        return short_lease(self.bench, 2.0)

    def worker(
        self,
        *,
        lease: float = LONG,
        grace: float = 5.0,
        concurrency: int = 5,
        transport: TransportMaker = _as_it_is,
        store: StoreMaker = _as_it_is,
    ) -> ThreadWorker:
        """Start one in this process."""
        settings = Settings(queues=QUEUES, lease=lease, grace=grace, concurrency=concurrency)
        worker = ThreadWorker(self.bench, self.jobs, settings, transport, store)
        self.workers.append(worker)
        return worker

    def killable(self, *, lease: float, grace: float = 5.0, concurrency: int = 2, ahead: int = 0) -> Worker:
        """
        Start one in a process of its own, where the backend is shared between processes.

        Args:
            ahead: How many jobs it fetches at least, if there are so many.
        """
        if not (self.bench.capabilities.shared and self.bench.store_capabilities.shared):
            return self.worker(
                lease=lease, grace=grace, concurrency=concurrency, transport=lambda inner: Greedy(inner, ahead)
            )
        child = self.bench.spawn(
            "jobkit_contract.staff:work", lease=lease, grace=grace, concurrency=concurrency, ahead=ahead
        )
        worker = ProcessWorker(child, self.notes)
        self.workers.append(worker)
        return worker

    def record(self, job_id: str) -> JobRecord | None:
        """The job's record as it stands in the store."""
        [stored] = records.read(self.store, [job_id])
        return None if stored is None else stored.record

    def ends(self, ids: Sequence[str]) -> dict[str, str]:
        """How each of *ids* ended, by its record: done, dead and so on; the state of one that has not; else nothing."""
        found = zip(ids, records.read(self.store, ids), strict=True)
        return {job_id: stored.record.outcome or stored.record.state if stored else "" for job_id, stored in found}

    def live(self) -> str:
        """What has not ended, in words; empty at rest. What a broker cannot tell exactly is left to `nothing_left`."""
        found = [f"{len(worker.workshop.held)} held" for worker in self._threads() if len(worker.workshop.held)]
        if self.bench.capabilities.exact_counts:
            found += [str(each) for each in self.transport.depth(PHYSICAL) if each.ready or each.delayed or each.leased]
        parked = self.store.count(records.DUE, limit=10)
        return ", ".join([*found, *([f"{parked} parked"] if parked else [])])

    def wait_at_rest(self, within: float = 0.0) -> None:
        wait_until(lambda: not self.live(), "everything to end", within=within, found=self.live)

    def nothing_left(self) -> None:
        """Stop all workers, and see that nothing is left to be received, not even after a lease."""
        for worker in self.workers:
            if not worker.has_ended():
                worker.stop(5.0)
        expect(not self.live(), f"nothing was to be left, but there is: {self.live()}")
        within = 0.3 if self.bench.capabilities.exact_counts else until_lapsed(self.bench, self.lease)
        nothing_comes(self.bench.transport(), queues=PHYSICAL, within=within, why="all jobs have ended")

    def _threads(self) -> Iterator[ThreadWorker]:
        return (worker for worker in self.workers if isinstance(worker, ThreadWorker) and not worker.has_ended())

    def _die(self) -> None:
        """What a handler in this process does in place of killing it."""
        self.workers[-1].kill()


def wait_until(
    condition: Callable[[], object], what: str, *, within: float = 0.0, found: Callable[[], object] = lambda: ""
) -> None:
    """Look until *condition* holds; *within* and grace seconds are given."""
    deadline = steady() + within + GRACE
    while not condition():
        expect(steady() < deadline, f"waited {within + GRACE:.0f} s for {what}; {found()}")
        time.sleep(0.05)


def _tamper(bench: Bench, part: object) -> None:
    """The bank of faults puts some into the core itself: its adapters say how. No real adapter has that method."""
    tamper = getattr(bench.place.adapter_of(bench.place.url), "tamper", None)
    if tamper is not None:
        tamper(part)
