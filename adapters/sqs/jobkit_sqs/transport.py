"""The transport: SQS standard queues, one for each physical queue."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import Closed
from jobkit.transport import (
    Delivery,
    Depth,
    Message,
    Sent,
    Settled,
    Settlement,
    TransportCapabilities,
    check_messages,
)
from jobkit_sqs import sending
from jobkit_sqs.addresses import Addresses
from jobkit_sqs.batches import Batches
from jobkit_sqs.counting import Counting
from jobkit_sqs.failures import Missing
from jobkit_sqs.loans import MAX_LEASE
from jobkit_sqs.options import Target
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.polls import PREFETCH
from jobkit_sqs.purging import Purges
from jobkit_sqs.receiving import Receiving
from jobkit_sqs.service import Service, Wrap
from jobkit_sqs.settling import Settling, stored_by
from jobkit_sqs.wire import MAX_BODY

CAPABILITIES = TransportCapabilities(
    name="sqs",
    durable=True,
    shared=True,
    atomic_again=False,
    atomic_successors=False,
    single_delivery=False,
    fence="local",
    transactional=False,
    exact_counts=False,
    knows_age=False,
    max_delay=900.0,
    max_lease=MAX_LEASE,
    max_body=MAX_BODY,
    min_lease=1.0,
    wake_latency=2.0,
    # A second for rounding up, two for the margin by which a message outlasts its lease, and SQS's own latency.
    lease_slack=5.0,
    prefetch=PREFETCH,
)


class SqsTransport:
    """One holder's handle on the jobs of one namespace. Safe for several threads."""

    capabilities = CAPABILITIES

    def __init__(self, target: Target, clock: Clock = SYSTEM_CLOCK, wrap: Wrap | None = None) -> None:
        options = target.options
        self._masked = target.masked
        self._closed = False
        self._service = Service(target, "sqs", clock, connections=options.parallel + 10, wrap=wrap)
        self._waiting = Service(target, "sqs", clock, connections=PREFETCH, longer=options.poll, wrap=wrap)
        self._parallel = Parallel(options.parallel)
        self._addresses = Addresses(target, self._service, self._parallel)
        self._batches = Batches(self._service, self._addresses, self._parallel)
        self._settling = Settling(self._batches, clock)
        self._purges = Purges(self._service, self._addresses, self._parallel, clock)
        self._counting = Counting(self._service, self._addresses, self._parallel)
        self._receiving = Receiving(
            self._service, self._waiting, self._addresses, self._parallel, self._purges, self._settling, clock
        )

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        self._check_open()
        return sending.send(self._batches, messages)

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        self._check_open()
        _check_lease(lease)
        found = self._receiving.receive(queues, limit, wait, lease, stop)
        if not found:
            self._check_open()
        return found

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        check_messages([message for one in settlements for message in stored_by(one)], self.capabilities)
        self._check_open()
        return self._settling.settle(settlements)

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self._check_open()
        _check_lease(lease)
        return self._settling.extend(deliveries, lease)

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        self._check_open()
        return self._counting.depth(queues)

    def purge(self, queue: str) -> int | None:
        self._check_open()
        try:
            self._purges.purge(queue)
        except Missing:
            return 0
        return None

    def close(self) -> None:
        self._closed = True
        self._receiving.close()
        self._parallel.close()
        self._service.close()
        self._waiting.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"{self._masked}: used after close")


def _check_lease(lease: float) -> None:
    if not 0 < lease <= MAX_LEASE:
        raise ValueError(f"lease {lease} s: allowed on {CAPABILITIES.name} is up to {MAX_LEASE} s")
