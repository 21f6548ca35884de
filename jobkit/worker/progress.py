"""Progress reports: gathered, so that a handler may report at every step and the store is written a few times a second."""

from __future__ import annotations

import logging

import msgspec

from jobkit import records
from jobkit.backend import Backend
from jobkit.errors import JobKitError
from jobkit.records import Progress
from jobkit.shield import shielded
from jobkit.store import Key, Write

EVERY = 0.25
"""Seconds between two writes of one job's progress."""

log = logging.getLogger("jobkit.worker")


class Reporter:
    """One run's progress."""

    def __init__(self, backend: Backend, job_id: str, ttl: float) -> None:
        self._backend = backend
        self._key = Key(records.PROGRESS, job_id)
        self._ttl = max(ttl, records.ENDED_TTL)
        self._pending: tuple[float, float | None, str] | None = None
        self._next_at = 0.0

    def report(self, done: float, total: float | None, note: str) -> None:
        """Take a report; written at once if the last one is long enough ago."""
        self._pending = (done, total, note[:500])
        if self._backend.clock.steady() >= self._next_at:
            self.flush()

    @shielded
    def flush(self) -> None:
        """Write what is pending. A report that cannot be written is not worth a job's failure."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        self._next_at = self._backend.clock.steady() + EVERY
        try:
            value = msgspec.json.encode(Progress(*pending, self._backend.now()))
            self._backend.store.put([Write(self._key, value, ttl=self._ttl)])
        except JobKitError as error:
            log.debug("progress of %s was not written: %s", self._key.name, error)
