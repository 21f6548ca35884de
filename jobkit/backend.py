"""The opened backend: one transport, one store, and what the core asks of both together."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from jobkit import config, decision
from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.store import Store
from jobkit.transport import Transport

CLOCK_REFRESH = 300.0
"""Seconds after which the store's clock is read anew; clocks drift by less than a millisecond in that time."""


class Backend:
    """
    A transport and a store that belong together. Safe for several threads.

    Args:
        same_database: Jobs and records lie in one database and namespace.
    """

    def __init__(self, transport: Transport, store: Store, *, same_database: bool, clock: Clock = SYSTEM_CLOCK) -> None:
        self.transport = transport
        self.store = store
        self.same_database = same_database
        self.clock = clock
        self._lock = threading.Lock()
        self._offset: timedelta | None = None
        self._read_at = 0.0
        self._schema_seen = False

    @classmethod
    def open(cls, backends: config.Backends, clock: Clock = SYSTEM_CLOCK) -> Backend:
        """No I/O yet."""
        transport = config.open_transport(backends.transport)
        store = config.open_store(backends.store)
        return cls(transport, store, same_database=backends.same_database, clock=clock)

    @property
    def longest_delay(self) -> float:
        """Seconds that the broker keeps a job by itself; longer delays are parked in the store."""
        return min(self.transport.capabilities.max_delay, decision.PARK_BEYOND)

    @property
    def largest_body(self) -> int:
        """Bytes: a job must fit the broker, and the store once it is dead or parked."""
        return min(self.transport.capabilities.max_body, self.store.capabilities.max_value)

    def now(self) -> datetime:
        """
        The store's clock, which decides all instants. Read now and then, and carried on by this machine's steady clock,
        so that a wrong wall clock here does no harm.

        Raises:
            Unavailable: It was never read, and the store is not reached.
        """
        steady = self.clock.steady()
        with self._lock:
            if self._offset is None or steady - self._read_at > CLOCK_REFRESH:
                self._offset = self.store.now() - _ZERO - timedelta(seconds=steady)
                self._read_at = steady
            return _ZERO + timedelta(seconds=steady) + self._offset

    def ensure_schema(self) -> None:
        """Meet the schema once before the caller's transaction does: an embedded one is made, a missing one is named."""
        if not self._schema_seen:
            self.store.get([])
            self.transport.depth(["default"])
            self._schema_seen = True

    def close(self) -> None:
        """Close both."""
        self.transport.close()
        self.store.close()


_ZERO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
