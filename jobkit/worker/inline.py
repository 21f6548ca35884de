"""
A worker without threads: the same admission, execution, decisions and settlement, step by step in the caller's thread.

For tests and simulations, where the caller holds the clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from jobkit import parking
from jobkit.queues import receive_order
from jobkit.worker.admission import Admission
from jobkit.worker.execution import Execution
from jobkit.worker.runs import Run
from jobkit.worker.settling import Settler, decided
from jobkit.worker.workshop import Workshop

_NEVER = threading.Event()


class Inline:
    """
    Runs what is due, one job after the other.

    Args:
        loop: Runs in another thread, for async handlers.
    """

    def __init__(self, workshop: Workshop, loop: asyncio.AbstractEventLoop) -> None:
        self._workshop = workshop
        self._admission = Admission(workshop)
        self._execution = Execution(workshop, loop, isolation=None)
        self._settler = Settler(workshop)
        self._turn = 0

    def step(self, queues: Sequence[str] = ()) -> int:
        """
        Send what is parked and due, receive one job, and see it to its end. Returns how many were handled: 0 or 1.

        Args:
            queues: To look at in place of the settings'.
        """
        backend, settings = self._workshop.backend, self._workshop.settings
        parking.promote(backend)
        self._turn += 1
        order = receive_order(queues or settings.queues, self._turn)
        deliveries = backend.transport.receive(order, limit=1, wait=0, lease=settings.lease, stop=_NEVER)
        admitted = self._admission.admit(deliveries)
        for run, decision in admitted.decided:
            self._settler.add(run, decision)
        for run in admitted.run:
            self._run(run)
        self._settler.drain()
        return len(deliveries)

    def close(self) -> None:
        """End the execution's threads."""
        self._execution.close()

    def _run(self, run: Run) -> None:
        outcome = self._execution.execute(run)
        if outcome is not None:
            self._settler.add(run, decided(self._workshop, run, outcome))
