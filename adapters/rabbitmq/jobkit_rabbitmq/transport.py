"""The transport: what the two connections do for one call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from functools import partial

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import Uncertain
from jobkit.transport import (
    Answer,
    Delivery,
    Depth,
    Message,
    Sent,
    Settled,
    Settlement,
    TransportCapabilities,
    check_messages,
)
from jobkit_rabbitmq.catching import MOST_SPARE, Catch
from jobkit_rabbitmq.failures import Missing, ReplyLost
from jobkit_rabbitmq.lending import LOST, Change, Lending
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.making import ensure
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.posting import Posting
from jobkit_rabbitmq.publishing import publish
from jobkit_rabbitmq.queues import Names
from jobkit_rabbitmq.settling import change, living, settle, stored_by

MEBIBYTE = 1024 * 1024
LONGEST_ID = 255
"""Bytes of a message id: AMQP's short string."""

STOP_EVERY = 0.2
"""Seconds within which a waiting receiver notices its stop signal."""

UNDETECTED = 3
"""Heartbeats after which, at the latest, the server takes back what a frozen or unreachable holder has. Measured."""


def capabilities_of(target: Target) -> TransportCapabilities:
    return TransportCapabilities(
        name="rabbitmq",
        durable=True,
        shared=True,
        atomic_again=False,
        atomic_successors=False,
        # Two sends of one id are two messages.
        single_delivery=False,
        # The broker knows no leases. What this side holds nobody else can have until this side, or its connection's
        # end, gives it back, so what is settled here in time is settled by the only holder.
        fence="local",
        transactional=False,
        # Ready messages are counted; those on loan can't be asked for.
        exact_counts=False,
        knows_age=False,
        max_delay=0.0,
        max_lease=target.options.max_lease,
        max_body=16 * MEBIBYTE,
        min_lease=0.1,
        wake_latency=1.0,
        lease_slack=0.5 + UNDETECTED * target.options.heartbeat,
        prefetch=MOST_SPARE,
    )


class RabbitmqTransport:
    """One holder's handle on the queues of one namespace. Safe for several threads."""

    def __init__(self, target: Target, clock: Clock = SYSTEM_CLOCK) -> None:
        self.capabilities = capabilities_of(target)
        self._target = target
        self._clock = clock
        self._names = Names(target.options.namespace)
        self._posting = Link(target, "posts", lambda wire: Posting(wire, target))
        self._lending = Link(target, "lends", lambda wire: Lending(wire, target, clock))

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        self._posting.check_open()
        return self._publish(messages, self._posting.deadline())

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        end = self._clock.steady() + wait
        deliveries = self._look(queues, limit, lease, self._lending.deadline())
        if deliveries or wait <= 0 or stop.is_set():
            return deliveries
        catch = Catch(queues, limit, lease, window=1, patient=True)
        self._begin(catch)
        return self._wait(catch, end, stop)

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        check_messages([message for each in settlements for message in stored_by(each)], self.capabilities)
        self._lending.check_open()
        return settle(self._lending, self._publish, settlements, self._lending.deadline())

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self._lending.check_open()
        loans = [living(delivery) for delivery in deliveries]
        asked = [loan for loan in loans if loan is not None]
        if not asked:
            return [LOST] * len(loans)
        answers = iter(change(self._lending, partial(_extend, lease), asked, self._lending.deadline()))
        return [LOST if loan is None else next(answers) for loan in loans]

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        """Nobody can ask the broker for its queues over AMQP: none named, none told."""
        names = [self._names.of(queue) for queue in queues]
        counts = self._count(names, self._lending.deadline())
        return [
            Depth(queue=queue, ready=count or 0, delayed=0, leased=None, oldest_age=None)
            for queue, count in zip(queues, counts, strict=True)
        ]

    def purge(self, queue: str) -> int | None:
        deadline, name = self._lending.deadline(), self._names.of(queue)
        spare = self._lending.call(deadline, Lending.purge_spare, queue)
        try:
            reply = self._lending.call(deadline, Lending.purge, name)
        except Missing:
            return int(spare)
        except ReplyLost as error:
            raise Uncertain(f"some of {queue!r} may have been purged: {error}") from error
        return int(reply[0]) + int(spare)

    def close(self) -> None:
        self._lending.close()
        self._posting.close()

    def _publish(self, messages: Sequence[Message], deadline: float) -> list[Sent]:
        reasons = [_refusal(message) for message in messages]
        good = [message for message, reason in zip(messages, reasons, strict=True) if not reason]
        answers = iter(publish(self._posting, self._names, good, deadline) if good else [])
        return [Sent(Answer.FAILED, reason) if reason else next(answers) for reason in reasons]

    def _count(self, names: Sequence[str], deadline: float) -> list[int | None]:
        return self._lending.call(deadline, Lending.look, names)

    def _look(self, queues: Sequence[str], limit: int, lease: float, deadline: float) -> list[Delivery]:
        """What is there, the first queue's first. Queues that are missing are made on the way."""
        names = [self._names.of(queue) for queue in queues]
        counts = self._count(names, deadline)
        if None in counts:
            ensure(self._posting, self._names, names, deadline)
        found = self._lending.call(deadline, Lending.take_spare, queues, limit, lease)
        for queue, count in zip(queues, counts, strict=True):
            window = min(count or 0, limit - len(found))
            if window > 0:
                found += self._take(Catch([queue], window, lease, window=window, patient=False), deadline)
        return found

    def _take(self, catch: Catch, deadline: float) -> list[Delivery]:
        self._begin(catch)
        return self._lending.wait(catch.outcome, deadline)

    def _begin(self, catch: Catch) -> None:
        def fail(begun: Future[None]) -> None:
            if error := begun.exception():
                catch.fail(error)

        self._lending.post(Lending.catch, catch).add_done_callback(fail)

    def _wait(self, catch: Catch, end: float, stop: threading.Event) -> list[Delivery]:
        while not stop.is_set() and (rest := end - self._clock.steady()) > 0:
            done, _ = wait_for([catch.outcome], min(rest, STOP_EVERY))
            if done:
                break
        self._lending.post(Lending.give_up, catch)
        return self._lending.wait(catch.outcome, self._lending.deadline())


def _extend(lease: float, session: Lending, outcome: Future[None], loans: Change) -> None:
    session.extend(outcome, loans, lease)


def _refusal(message: Message) -> str:
    size = len(message.id.encode())
    return f"the id has {size} bytes; RabbitMQ takes {LONGEST_ID}" if size > LONGEST_ID else ""
