"""How a receiver waits: woken by a signal where one comes, by looking again where none does."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from jobkit_postgres.forks import Forgetful, after_fork

SHORTEST = 0.005
LONGEST = 0.8
"""Seconds between two looks at the queues; the longest pause and a look keep within the declared wake-up latency."""

STOP_EVERY = 0.2
"""Seconds within which a stop is noticed."""

QUIET = 0.1
"""Seconds during which a queue that was rung for is not rung for again: each ring of the server's bell takes a lock that
all of its databases share. Receivers that were just woken look often enough by themselves."""


class Doorbell(Forgetful):
    """Who waits here for some queues is woken when one of them is rung for, by whatever thread. Rings are only hints."""

    def __init__(self) -> None:
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._rung = threading.Condition()
        self._rings: defaultdict[str, int] = defaultdict(int)
        self._all = 0

    def ring(self, queues: Iterable[str]) -> None:
        with self._rung:
            for queue in queues:
                self._rings[queue] += 1
            self._rung.notify_all()

    def ring_all(self) -> None:
        with self._rung:
            self._all += 1
            self._rung.notify_all()

    def count(self, queues: Sequence[str]) -> int:
        """Rings for *queues* up to now: to be read before looking, so that a ring in between ends the wait at once."""
        return self._all + sum(self._rings[queue] for queue in queues)

    def wait(self, queues: Sequence[str], seen: int, timeout: float, stop: threading.Event) -> bool:
        """Wait until there are more rings than *seen* (then True), *timeout* seconds have passed or *stop* is set."""
        end = time.monotonic() + timeout
        with self._rung:
            while (rung := self.count(queues)) == seen and not stop.is_set():
                rest = end - time.monotonic()
                if rest <= 0:
                    break
                self._rung.wait(min(rest, STOP_EVERY))
            return rung != seen


class Pace:
    """
    How long to wait before looking again: a quarter of the time that has passed since something last happened. So a
    busy queue is looked at every few milliseconds, and one that has been idle for long costs next to nothing.
    """

    def __init__(self) -> None:
        self._active: dict[frozenset[str], float] = {}

    def active(self, queues: Sequence[str]) -> None:
        self._active[frozenset(queues)] = time.monotonic()

    def pause(self, queues: Sequence[str]) -> float:
        idle = time.monotonic() - self._active.setdefault(frozenset(queues), time.monotonic())
        return min(LONGEST, max(SHORTEST, idle / 4))


class Debounce:
    """Which queues to ring for. Per process: a hundred threads that send at once ring once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def due(self, queues: Iterable[str]) -> list[str]:
        now = time.monotonic()
        with self._lock:
            quiet = [queue for queue in queues if now - self._last.get(queue, -QUIET) >= QUIET]
            self._last.update(dict.fromkeys(quiet, now))
        return quiet
