"""
How much to fetch ahead: what the slots will finish in the next tenth of a second, as measured, beyond the free ones.

So short jobs come by the hundred and long ones only into free slots: nothing waits behind a long job while another worker
is idle.
"""

from __future__ import annotations

AHEAD = 0.1
"""Seconds of work to hold ready."""

WINDOW = 0.05
"""Seconds over which the rate is measured."""

LARGEST_FETCH = 200
MOST_AHEAD = 2000


class Prefetch:
    """Measures how many jobs end per second, and says how many to fetch. Used by the fetcher's thread alone."""

    def __init__(self, now: float) -> None:
        self._rate = 0.0
        self._since = now
        self._ended = 0

    def want(self, *, now: float, ended: int, idle: int, waiting: int) -> int:
        """
        How many to fetch now.

        Args:
            ended: How many jobs have ended since the start.
            idle: Free slots.
            waiting: Jobs fetched and not started.
        """
        self._measure(now, ended)
        ahead = min(int(self._rate * AHEAD), MOST_AHEAD)
        return max(0, min(idle + ahead - waiting, LARGEST_FETCH))

    def nothing_came(self) -> None:
        """The queues were empty: whatever comes next may be of another kind, so begin with the free slots again."""
        self._rate = 0.0

    def _measure(self, now: float, ended: int) -> None:
        elapsed = now - self._since
        if elapsed < WINDOW:
            return
        latest = (ended - self._ended) / elapsed
        self._rate = latest if latest < self._rate else (self._rate + latest) / 2
        self._since, self._ended = now, ended
