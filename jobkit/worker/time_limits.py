"""
Time limits for handlers that run in threads.

Python cannot stop a thread. What it can do is raise an exception in it at its next bytecode instruction; a call that blocks
in C, such as a socket read without a timeout, delays that until it returns. Whoever needs a hard limit isolates the handler.
What the handler calls of jobkit itself is not cut off: see `jobkit.shield`.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from jobkit.clock import Clock
from jobkit.shield import limited

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class TimeLimitReached(BaseException):
    """Raised inside a handler whose time is over. No Exception, so that ``except Exception`` does not swallow it."""


@attrs.define(eq=False)
class _Entry:
    """One limited call. *lock* makes sure that nothing is raised in the thread once the call has ended."""

    thread: int
    active: bool = True
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    held: int = 0
    due: bool = False

    def fire(self) -> None:
        with self.lock:
            if self.active and self.held:
                self.due = True
            elif self.active:
                _raise_in_thread(ctypes.c_ulong(self.thread), ctypes.py_object(TimeLimitReached))

    def hold(self) -> None:
        with self.lock:
            self.held += 1

    def let_go(self) -> None:
        with self.lock:
            self.held -= 1
            due = self.due and not self.held
            self.due = self.due and not due
        if due:
            raise TimeLimitReached

    def end(self) -> None:
        with self.lock:
            self.active = False
            # Takes back one that was set but not raised yet: the call has just made it.
            _raise_in_thread(ctypes.c_ulong(self.thread), None)


class Watchdog:
    """One thread that watches all limited calls of this process. Started at the first one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: list[tuple[float, int, _Entry]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ended = 0

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise `TimeLimitReached` in the calling thread, if the block takes longer than *seconds*."""
        entry = _Entry(threading.get_ident())
        self._watch(entry, seconds)
        try:
            with limited(entry):
                yield
        finally:
            entry.end()
            self._forget()

    def close(self) -> None:
        """End the thread; calls that are under way lose their limit."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _watch(self, entry: _Entry, seconds: float) -> None:
        with self._changed:
            heapq.heappush(self._entries, (self._clock.steady() + seconds, next(self._numbers), entry))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobkit-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _forget(self) -> None:
        """Drop the entries of ended calls once they are many: a long limit would keep them long."""
        with self._changed:
            self._ended += 1
            if self._ended > 1000 and self._ended * 2 > len(self._entries):
                self._entries = [one for one in self._entries if one[2].active]
                heapq.heapify(self._entries)
                self._ended = 0

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._clock.steady()
                while self._entries and self._entries[0][0] <= now:
                    heapq.heappop(self._entries)[2].fire()
                self._changed.wait(self._entries[0][0] - now if self._entries else None)
