"""The transport: one method, one or two scripts."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import JobKitError, Uncertain
from jobkit.transport import (
    Answer,
    Delivery,
    Depth,
    Done,
    Message,
    Sent,
    Settled,
    Settlement,
    TransportCapabilities,
    check_messages,
)
from jobkit_redis.answers import spread
from jobkit_redis.bells import Bells
from jobkit_redis.claims import Claims
from jobkit_redis.failures import ReplyLost
from jobkit_redis.messages import SENT, microseconds, refusal, refusal_of, sent_words, stored_by
from jobkit_redis.options import NOT, Target
from jobkit_redis.requests import Request, chunks, run
from jobkit_redis.scripts import DEPTH, PURGE, SEND
from jobkit_redis.server import Server
from jobkit_redis.settling import Settling
from jobkit_redis.wire import Reply

TEN_YEARS = 10 * 365 * 86400.0
LONGEST_LOOK = 0.8
"""Seconds between two looks at the queues; the pause and a look keep within the declared wake-up latency."""

PURGE_AT_ONCE = 500


def capabilities(target: Target) -> TransportCapabilities:
    return TransportCapabilities(
        name="redis",
        durable=target.options.durable != NOT,
        shared=True,
        atomic_again=True,
        # A script can't span the servers of a cluster.
        atomic_successors=not target.options.cluster,
        single_delivery=True,
        fence="broker",
        transactional=False,
        exact_counts=True,
        knows_age=True,
        max_delay=TEN_YEARS,
        max_lease=TEN_YEARS,
        max_body=16 * 1024 * 1024,
        min_lease=0.05,
        wake_latency=1.0,
        lease_slack=1.0,
    )


class RedisTransport:
    """One holder's handle on the jobs of one namespace. Safe for several threads."""

    def __init__(self, target: Target, clock: Clock = SYSTEM_CLOCK) -> None:
        self.capabilities = capabilities(target)
        self._clock = clock
        self._server = Server(target)
        self._claims = Claims(self._server, clock)
        self._bells = Bells(self._server)
        self._settling = Settling(self._server, self.send)
        self._listed: set[str] = set()

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        self._server.check_open()
        reasons = [refusal(message) for message in messages]
        answers = self._send_good([(number, messages[number]) for number, reason in enumerate(reasons) if not reason])
        return [Sent(Answer.FAILED, reason) if reason else answers[number] for number, reason in enumerate(reasons)]

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        end = self._clock.steady() + wait
        while True:
            deliveries, next_due = self._claims.claim(queues, limit, lease)
            rest = end - self._clock.steady()
            if deliveries or rest <= 0 or stop.is_set():
                return deliveries
            self._bells.wait(queues, min(rest, next_due, LONGEST_LOOK), stop)

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        check_messages(stored_by(settlements), self.capabilities)
        self._server.check_open()
        reasons = [refusal_of(settlement) for settlement in settlements]
        good = [settlement for settlement, reason in zip(settlements, reasons, strict=True) if not reason]
        self._list_queues({message.queue for each in good if isinstance(each, Done) for message in each.then})
        answers = iter(self._settling.settle(good))
        return [Settled(Answer.FAILED, reason) if reason else next(answers) for reason in reasons]

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self._server.check_open()
        return self._settling.test(deliveries, max(1, microseconds(lease)))

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        names = list(queues) or self._all_queues()
        replies = self._server.ask([run(DEPTH, self._server.keys.of_queue(name)) for name in names])
        return [_depth(name, reply) for name, reply in zip(names, replies, strict=True)]

    def purge(self, queue: str) -> int | None:
        removed = 0
        end = time.monotonic() + self._server.target.options.timeout
        while time.monotonic() < end:
            try:
                last = int(self._server.one(run(PURGE, self._server.keys.of_queue(queue), PURGE_AT_ONCE)))
            except ReplyLost as error:
                raise Uncertain(f"some of {queue!r} may have been purged: {error}") from error
            removed += last
            if last < PURGE_AT_ONCE:
                break
        return removed

    def close(self) -> None:
        self._server.close()

    def _send_good(self, messages: Sequence[tuple[int, Message]]) -> dict[int, Sent]:
        by_queue: defaultdict[str, list[tuple[int, tuple[int, Message]]]] = defaultdict(list)
        for number, message in messages:
            by_queue[message.queue].append((len(message.body), (number, message)))
        places: list[list[int]] = []
        requests: list[Request] = []
        for queue, items in by_queue.items():
            for chunk in chunks(items):
                words = [word for _, message in chunk for word in sent_words(message)]
                places.append([number for number, _ in chunk])
                requests.append(run(SEND, self._server.keys.of_queue(queue), *words))
        self._list_queues(by_queue)
        return spread(places, self._server.ask(requests), _sent, _unsent)

    def _list_queues(self, queues: Iterable[str]) -> None:
        """Let `depth` find them. Asked once by each handle, and before the first message: a queue that is listed and empty
        is better than one that is full and not listed. If it fails, so does what follows, which says so."""
        new = set(queues) - self._listed
        if new:
            with suppress(JobKitError):
                self._server.one(Request(self._server.keys.queues, ("SADD", self._server.keys.queues, *sorted(new))))
                self._listed |= new

    def _all_queues(self) -> list[str]:
        names = self._server.one(Request(self._server.keys.queues, ("SMEMBERS", self._server.keys.queues)))
        return sorted(name.decode() for name in names)


def _depth(queue: str, reply: Reply | JobKitError) -> Depth:
    if isinstance(reply, JobKitError):
        raise reply
    ready, delayed, leased, oldest = reply
    age = None if oldest < 0 else oldest / 1_000_000
    return Depth(queue=queue, ready=ready, delayed=delayed, leased=leased, oldest_age=age)


def _sent(reply: Reply) -> list[Sent]:
    return [SENT] * int(reply)


def _unsent(reason: str) -> Sent:
    return Sent(Answer.UNKNOWN, reason)
