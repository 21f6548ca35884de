"""
Time, passed in rather than looked up, so that tests and simulations can hold the clock in their hand.

Two kinds: *steady* seconds measure durations and leases and never jump; *now* is an aware UTC instant.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# CLOCK_BOOTTIME goes on while the machine is suspended, as the broker's clock does: a lease that ended in the
# meantime is seen to have ended. Elsewhere the monotonic clock is the best there is.
_STEADY_ID = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def steady() -> float:
    """Seconds on a clock that never jumps and goes on while this process is frozen. Its zero means nothing."""
    return time.monotonic() if _STEADY_ID is None else time.clock_gettime(_STEADY_ID)


class Clock(Protocol):
    """A source of time. Safe for several threads."""

    def steady(self) -> float:
        """Seconds that never jump."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        """Wait on *condition* (held by the caller) until it is notified or *timeout* seconds of this clock passed."""


class SystemClock:
    """The machine's own clock."""

    def steady(self) -> float:
        return steady()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        condition.wait(timeout)


class ManualClock:
    """
    A clock that stands still until it is moved.

    Args:
        start: The first instant; aware.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._lock = threading.Lock()
        self._waiting: set[threading.Condition] = set()

    def steady(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def wait(self, condition: threading.Condition, timeout: float) -> None:
        if timeout <= 0:
            return
        with self._lock:
            self._waiting.add(condition)
        # The real limit is only there so that a forgotten `advance` cannot hang a thread for good.
        condition.wait(min(1, timeout))

    def advance(self, seconds: float) -> None:
        """Move on by *seconds* and wake everything that waits on this clock."""
        with self._lock:
            self._elapsed += seconds
            waiting, self._waiting = self._waiting, set()
        for condition in waiting:
            with condition:
                condition.notify_all()


SYSTEM_CLOCK = SystemClock()
