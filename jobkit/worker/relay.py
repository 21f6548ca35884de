"""
The relay: moves the jobs that committed transactions left in the outbox on to the transport.

Any number of relays may run at once; each borrows its own jobs from the outbox. A relay that is killed leaves them there,
or parked in the store, where the next relay or any worker's promoter goes on.
"""

from __future__ import annotations

import threading

from jobkit import moving
from jobkit.backend import Backend
from jobkit.queues import OUTBOX
from jobkit.worker.patience import Patience

BATCH = 200

WAIT = 10.0
"""Seconds that one look waits for a first job; the outbox's own signals end it earlier."""

LEASE = 60.0
"""Seconds after which the jobs of a relay that was killed are borrowed by another one."""


class Relay:
    """One relay between *outbox* and *backend*."""

    def __init__(self, outbox: Backend, backend: Backend, name: str) -> None:
        self._outbox = outbox
        self._backend = backend
        self._name = name

    def step(self, stop: threading.Event, wait: float = WAIT) -> int:
        """Move up to a batch; waits up to *wait* seconds for a first job. Returns how many were moved."""
        source = self._outbox.transport
        deliveries = source.receive([OUTBOX], limit=BATCH, wait=wait, lease=LEASE, stop=stop)
        if not deliveries:
            return 0
        return moving.take_over(deliveries, source, self._backend, self._name)

    def drain(self, stop: threading.Event) -> None:
        """
        Until nothing is left that is due, on loan to another relay included.

        Raises:
            Unavailable: As `moving.take_over`.
        """
        while not stop.is_set():
            [depth] = self._outbox.transport.depth([OUTBOX])
            if not depth.ready and not depth.leased:
                return
            self.step(stop, wait=1.0)

    def run(self, stop: threading.Event) -> None:
        """Until *stop*; an outage on either side is waited for."""
        patience = Patience("relaying the outbox")
        while not stop.is_set():
            try:
                self.step(stop)
                patience.succeeded()
            except Exception as error:  # noqa: BLE001 - logged; it must not end because of one batch
                patience.failed(error, stop)
