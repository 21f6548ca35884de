"""The fetcher: borrows jobs as slots get free, has them admitted, and ends a burst."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from jobkit import parking
from jobkit.errors import ConfigurationError, JobKitError, SetupRequired, Unavailable
from jobkit.queues import OUTBOX, all_physical, receive_order
from jobkit.transport import Answer, Delivery
from jobkit.worker.admission import Admission, Admitted
from jobkit.worker.patience import Patience
from jobkit.worker.prefetch import Prefetch
from jobkit.worker.runs import Buffer
from jobkit.worker.settling import Settler
from jobkit.worker.workshop import Workshop, log

WAIT = 10.0
"""Seconds that a receive waits for a first job; a signal to stop ends it at once."""

BURST_WAIT = 0.2

FULL_PAUSE = 0.002
"""Seconds between two looks for free slots: short jobs free them quickly, and a look costs next to nothing."""

LONG_PAUSE = 0.05
"""Seconds between two looks while only long jobs run."""

MOST_UNSETTLED = 2000
"""Above it the settler is behind, and fetching more would only let leases run."""


class Fetcher:
    """Runs in a thread of its own until the worker stops."""

    def __init__(self, workshop: Workshop, admission: Admission, buffer: Buffer, settler: Settler) -> None:
        self._workshop = workshop
        self._admission = admission
        self._buffer = buffer
        self._settler = settler
        self._prefetch = Prefetch(workshop.backend.clock.steady())
        self._patience = Patience("fetching jobs")
        self._turn = 0
        self._pause = FULL_PAUSE
        self._worked = False
        self.error: Exception | None = None

    def run(self) -> None:
        """Until the worker stops. What cannot get better by waiting ends it: a missing schema, a wrong configuration."""
        while not self._workshop.stopping.is_set():
            try:
                if self._step():
                    return
                self._worked = True
                self._patience.succeeded()
            except (Unavailable, OSError) as error:
                self._patience.failed(error, self._workshop.stopping)
            except (SetupRequired, ConfigurationError) as error:
                if self._worked:  # it was right before: whatever it is, it may be put right again
                    self._patience.failed(error, self._workshop.stopping)
                    continue
                self.error = error
                return
            except JobKitError as error:
                self._patience.failed(error, self._workshop.stopping)
            except Exception as error:  # noqa: BLE001 - logged; a worker does not end because of it
                log.exception("fetching jobs failed unexpectedly")
                self._patience.failed(error, self._workshop.stopping)

    def _step(self) -> bool:
        """One look; True when a burst is over."""
        want = self._want()
        if want == 0:
            self._workshop.stopping.wait(self._pause)
            self._pause = min(LONG_PAUSE, self._pause * 1.5)
            return False
        self._pause = FULL_PAUSE
        deliveries = self._receive(want)
        if deliveries:
            self._take(deliveries)
            return False
        self._prefetch.nothing_came()
        return self._workshop.settings.burst and self._nothing_left()

    def _want(self) -> int:
        if self._settler.failing or len(self._settler) > MOST_UNSETTLED:
            return 0
        return self._prefetch.want(
            now=self._workshop.backend.clock.steady(),
            ended=self._workshop.counts.settled,
            idle=self._buffer.idle,
            waiting=len(self._buffer),
        )

    def _receive(self, limit: int) -> list[Delivery]:
        settings, order = self._workshop.settings, self._next_order()
        wait = BURST_WAIT if settings.burst else WAIT
        return self._workshop.backend.transport.receive(
            order, limit=limit, wait=wait, lease=settings.lease, stop=self._workshop.stopping
        )

    def _next_order(self) -> Sequence[str]:
        self._turn += 1
        return receive_order(self._workshop.settings.queues, self._turn)

    def _take(self, deliveries: list[Delivery]) -> None:
        admitted = self._admit(deliveries)
        runs = [*admitted.run, *(run for run, _ in admitted.decided)]
        self._workshop.held.add(runs)
        for run, decision in admitted.decided:
            self._settler.add(run, decision)
        self._buffer.put(admitted.run)

    def _admit(self, deliveries: list[Delivery]) -> Admitted:
        """While the store is away nothing is admitted, and so nothing more is fetched."""
        patience = Patience("looking jobs up in the store")
        while True:
            try:
                admitted = self._admission.admit(deliveries)
            except Unavailable as error:
                if self._workshop.leaving.is_set():
                    raise
                patience.failed(error, self._workshop.leaving)
                deliveries = self._keep(deliveries)
            else:
                patience.succeeded()
                return admitted

    def _keep(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those of *deliveries* whose lease could be kept; the others come back by themselves."""
        backend, lease = self._workshop.backend, self._workshop.settings.lease
        now = backend.clock.steady()
        if all(delivery.lease_until - now > lease * 2 / 3 for delivery in deliveries):
            return deliveries
        answers = backend.transport.extend(deliveries, lease=lease)
        pairs = zip(deliveries, answers, strict=True)
        return [attrs.evolve(one, lease_until=now + lease) for one, settled in pairs if settled.answer is not Answer.LOST]

    def _nothing_left(self) -> bool:
        """Nothing in hand, nothing that is due, nothing that another worker holds and might give back."""
        workshop = self._workshop
        if len(workshop.held):
            return False
        if parking.promote(workshop.backend).sent:
            return False
        names = [name for queue in workshop.settings.queues for name in all_physical(queue)]
        depths = workshop.backend.transport.depth(names)
        if workshop.settings.relay and workshop.app.outbox is not None:
            depths = [*depths, *workshop.app.outbox.transport.depth([OUTBOX])]
        return all(not depth.ready and not depth.leased for depth in depths)
