"""
The services' own clock, read off the ``Date`` of their replies.

A ``Date`` holds whole seconds. But each reply says that the server's clock lay within a second and a round trip, and many
replies together narrow that down.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from jobkit.clock import Clock
from jobkit_sqs.forks import Forgetful, after_fork

FRESH = 300.0
"""Seconds for which what was seen counts: clocks drift, and the next reply may come from another server."""


class ServerClock(Forgetful):
    """What is known of one endpoint's clock in relation to `Clock.steady`. Safe for several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._least, self._most, self._since = -math.inf, math.inf, -math.inf
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()

    def saw(self, date: float, asked: float, answered: float) -> None:
        """A reply said *date* (epoch seconds) to a question that left at *asked* and was answered by *answered*."""
        least, most = date - answered, date + 1 - asked
        with self._lock:
            if answered - self._since > FRESH or least > self._most or most < self._least:
                self._least, self._most, self._since = least, most, answered
            self._least, self._most = max(least, self._least), min(most, self._most)

    @property
    def is_fresh(self) -> bool:
        return self._clock.steady() - self._since <= FRESH

    def now(self) -> float:
        """
        Epoch seconds. This machine's wall clock is believed as far as the server does not contradict it: between hosts
        whose clocks are kept right it is the more precise one, and a wrong one does no harm.
        """
        steady, wall = self._clock.steady(), self._clock.now().timestamp()
        with self._lock:
            return min(max(wall, self._least + steady), self._most + steady)

    def latest(self, date: float) -> float:
        """The latest instant of `Clock.steady` at which the server can have written *date* into a reply."""
        with self._lock:
            return date + 1 - self._least

    def apart(self) -> float:
        """Seconds by which this machine's wall clock is surely wrong; above 0 if it goes ahead."""
        return self._clock.now().timestamp() - self.now()


_clocks: dict[tuple[Clock, str], ServerClock] = {}
_guard = threading.Lock()


def server_clock(clock: Clock, place: str) -> ServerClock:
    """One for each *place*, so that all handles of a process agree on what has expired."""
    with _guard:
        return _clocks.setdefault((clock, place), ServerClock(clock))


def date_of(reply: Mapping[str, Any]) -> float | None:
    """The ``Date`` of a reply, in epoch seconds; None if it has none that can be read."""
    text = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
