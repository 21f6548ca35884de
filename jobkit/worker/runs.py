"""A job in a worker's hands, from the fetch to the settlement, and the places where such jobs wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from jobkit.envelope import Envelope
from jobkit.handlers import Handler
from jobkit.job import Signal
from jobkit.records import Stored
from jobkit.transport import Delivery


@attrs.define(eq=False, kw_only=True)
class Run:
    """
    One job held by this process.

    Attributes:
        delivery: None once the store has taken custody.
        stored: The job's record as this worker read or wrote it last; None for a plain job.
        fetched_at, lease_until, started_at, ended_at: Seconds on the steady clock.
        lost: Set when the lease was lost: the outcome will be dropped.
        ended: Its outcome is known; from now on only the settler touches its record.
        cancel: Stops a run that can be stopped, an async or isolated one.
        lock: Held by whoever changes the record or the delivery.
    """

    envelope: Envelope
    handler: Handler[Any, Any, Any] | None
    delivery: Delivery | None
    stored: Stored | None
    fetched_at: float
    lease_until: float
    started_at: float | None = None
    ended_at: float | None = None
    lost: Signal = attrs.field(factory=Signal, repr=False)
    ended: bool = False
    handed_back: bool = False
    cancel: Callable[[], object] | None = attrs.field(default=None, repr=False)
    lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def lose(self) -> None:
        """The lease is gone: tell the handler, and stop it where that is possible."""
        self.lost.set()
        cancel = self.cancel
        if cancel is not None:
            cancel()


class Buffer:
    """Jobs that were fetched and wait for a free slot. First in, first out."""

    def __init__(self) -> None:
        self._runs: deque[Run] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def idle(self) -> int:
        """How many slots wait for a job."""
        return self._idle

    def put(self, runs: Iterable[Run]) -> None:
        with self._changed:
            before = len(self._runs)
            self._runs.extend(runs)
            self._changed.notify(len(self._runs) - before)

    def get(self) -> Run | None:
        """The next job; waits for one. None once the buffer is closed."""
        while not self._closed:
            try:
                return self._runs.popleft()  # atomic, so a busy slot needs no lock
            except IndexError:
                self._wait()
        return None

    def take_older_than(self, fetched_before: float) -> list[Run]:
        """Remove and return what has waited since before that time; the oldest stand first."""
        return self._take_while(lambda run: run.fetched_at < fetched_before)

    def close(self) -> list[Run]:
        """End all waiting, and return what was not started."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return self._take_while(lambda run: True)

    def _wait(self) -> None:
        with self._changed:
            while not self._runs and not self._closed:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _take_while(self, condition: Callable[[Run], bool]) -> list[Run]:
        """Slots take from the same end meanwhile; whatever is popped here is popped nowhere else."""
        taken: list[Run] = []
        try:
            while condition(self._runs[0]):
                taken.append(self._runs.popleft())
        except IndexError:
            pass
        return taken


class Held:
    """All jobs in this process's hands, whose leases must be kept."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, runs: Iterable[Run]) -> None:
        with self._changed:
            self._runs.update((id(run), run) for run in runs)

    def remove(self, runs: Iterable[Run]) -> None:
        with self._changed:
            for run in runs:
                self._runs.pop(id(run), None)
            self._changed.notify_all()

    def all(self) -> list[Run]:
        with self._changed:
            return list(self._runs.values())

    def wait_empty(self, timeout: float) -> bool:
        """Wait until nothing is held; False if that took longer than *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._runs, timeout)
