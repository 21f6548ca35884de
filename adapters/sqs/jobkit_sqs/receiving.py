"""Receiving: a short look at each queue in order, then long polls side by side."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from jobkit.clock import Clock
from jobkit.errors import JobKitError
from jobkit.transport import Delivery, Message
from jobkit_sqs import wire
from jobkit_sqs.addresses import Addresses
from jobkit_sqs.failures import Missing
from jobkit_sqs.loans import Loan, hidden_for
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.polls import Polls
from jobkit_sqs.purging import Purges
from jobkit_sqs.service import Service
from jobkit_sqs.settling import Settling

MOST = 10
"""Messages that one request may bring."""

MORE_THAN_A_LOOK = 1.0
"""Seconds: SQS waits for no less."""

LONG_AGO, JUST_NOW = 1.0, 0.3
"""Seconds for which an empty poll is believed: by one who goes on waiting, and by one whose time is over."""


class Receiving:
    """
    Receives for one handle. Safe for several threads.

    Args:
        service: For looks, which are short.
        waiting: For long polls, which must not keep others from the connections.
    """

    def __init__(
        self,
        service: Service,
        waiting: Service,
        addresses: Addresses,
        parallel: Parallel,
        purges: Purges,
        settling: Settling,
        clock: Clock,
    ) -> None:
        self._service = service
        self._waiting = waiting
        self._addresses = addresses
        self._parallel = parallel
        self._purges = purges
        self._clock = clock
        self._polls = Polls(self._long_poll, settling.give_back, clock, service.target.options.poll)

    def receive(self, queues: Sequence[str], limit: int, wait: float, lease: float, stop: threading.Event) -> list[Delivery]:
        """See `jobkit.transport.Transport.receive`. Ends with nothing when it is closed meanwhile."""
        end = self._clock.steady() + wait
        self._addresses.find(queues)
        trust = LONG_AGO if wait >= MORE_THAN_A_LOOK else 0.0
        while True:
            found = self._look(queues, limit, lease, trust)
            now = self._clock.steady()
            if found or now >= end or stop.is_set() or self._polls.closed:
                return found
            self._polls.wait([(queue, lease) for queue in queues], limit, end, stop)
            trust = LONG_AGO if self._clock.steady() < end else JUST_NOW

    def close(self) -> None:
        self._polls.close()

    def _look(self, queues: Sequence[str], limit: int, lease: float, trust: float) -> list[Delivery]:
        """What is there now, from the first queue on. Polls that ended up to *trust* seconds ago are believed; at 0 none."""
        found: list[Delivery] = []
        for queue in queues:
            if len(found) >= limit:
                break
            try:
                found += self._look_at(queue, limit - len(found), lease, trust)
            except Exception:
                if found:  # these are lent already; the next receive will meet the error again
                    break
                raise
        return found

    def _look_at(self, queue: str, limit: int, lease: float, trust: float) -> list[Delivery]:
        where = (queue, lease)
        taken = self._polls.take(where, limit)
        # A poll that has brought something has brought what there was; if not, the next receive sees the rest.
        if taken or (trust and self._polls.covers(where, trust)):
            return taken
        return self._short_looks(queue, limit, lease)

    def _short_looks(self, queue: str, limit: int, lease: float) -> list[Delivery]:
        """One request as a rule; where that came back full, all the others that the limit allows, side by side."""
        found = self._short_look(queue, min(MOST, limit), lease)
        rest = limit - len(found)
        if len(found) < MOST or not rest:
            return found
        sizes = [min(MOST, rest - start) for start in range(0, rest, MOST)]
        for given in self._parallel.each(lambda size: self._short_look(queue, size, lease), sizes):
            found += [] if isinstance(given, JobKitError) else given
        return found

    def _short_look(self, queue: str, most: int, lease: float) -> list[Delivery]:
        # The server may lend a message as soon as it has the request: the lease counts from before that.
        asked = self._clock.steady()
        reply, _ = self._ask(self._service, queue, most, 0, lease)
        return self._deliveries(queue, reply, asked, lease)

    def _long_poll(self, queue: str, most: int, seconds: int, lease: float) -> list[Delivery]:
        # A reply may be read long after it was written, by a process that was frozen: its date says when that was.
        reply, written = self._ask(self._waiting, queue, most, seconds, lease)
        return self._deliveries(queue, reply, written, lease)

    def _ask(self, service: Service, queue: str, most: int, seconds: int, lease: float) -> tuple[Mapping[str, Any], float]:
        url = self._addresses.find([queue])[queue]
        try:
            return service.timed(
                "receive_message",
                QueueUrl=url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=seconds,
                VisibilityTimeout=hidden_for(lease),
                MessageSystemAttributeNames=wire.SYSTEM,
                MessageAttributeNames=[wire.ATTRIBUTE],
            )
        except Missing:
            self._addresses.drop(queue)
            raise

    def _deliveries(self, queue: str, reply: Mapping[str, Any], since: float, lease: float) -> list[Delivery]:
        incoming = [wire.read(raw) for raw in reply.get("Messages", ())]
        kept = self._purges.without_purged(queue, incoming)
        return [self._delivery(queue, one, since, since + lease) for one in kept]

    def _delivery(self, queue: str, one: wire.Incoming, since: float, until: float) -> Delivery:
        return Delivery(
            message=Message(id=one.id, queue=queue, body=one.body),
            receives=one.receives,
            lease_until=until,
            receipt=Loan(queue, one.handle, since, until),
        )
