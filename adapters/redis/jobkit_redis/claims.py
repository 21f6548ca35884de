"""What one look at the queues borrows."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Sequence

from jobkit.clock import Clock
from jobkit.errors import JobKitError
from jobkit.transport import Delivery, Message
from jobkit_redis.failures import ReplyLost
from jobkit_redis.forks import Forgetful, after_fork
from jobkit_redis.messages import Word, microseconds
from jobkit_redis.requests import run
from jobkit_redis.scripts import CLAIM, LOOK
from jobkit_redis.server import Server
from jobkit_redis.wire import Reply

MOST_AT_ONCE = 1000
MOST_BYTES = 32 * 1024 * 1024
"""What one look hands out at most; the rest comes with the next one."""

NEVER = 1e9

MOST_LOST = 16
"""Loans per queue that are asked for again; those before them lapse by themselves."""


class Claims(Forgetful):
    """
    Borrows, and remembers the loans whose replies were lost: the same caller asks for those jobs again and gets them at
    once, where everybody else would wait until they lapse. Safe for several threads.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._lost: defaultdict[str, list[str]] = defaultdict(list)

    def claim(self, queues: Sequence[str], limit: int, lease: float) -> tuple[list[Delivery], float]:
        """
        What is due; or nothing, and the seconds until something will be.

        Raises:
            Unavailable: A loan whose reply was lost comes with the next claim, or lapses.
        """
        if len({self._server.slots.slot_of(self._server.keys.wake(queue)) for queue in queues}) <= 1:
            return self._claim(queues, limit, lease)
        return self._claim_apart(queues, limit, lease)

    def _claim_apart(self, queues: Sequence[str], limit: int, lease: float) -> tuple[list[Delivery], float]:
        """Of queues on several servers: look at all at once, then borrow from each that has something, in their order."""
        replies = self._server.ask([run(LOOK, self._server.keys.of_queue(queue)) for queue in queues])
        first_error = next((reply for reply in replies if isinstance(reply, JobKitError)), None)
        waits = {queue: _seconds(reply) for queue, reply in zip(queues, replies, strict=True) if isinstance(reply, int)}
        deliveries: list[Delivery] = []
        for queue, wait in waits.items():
            if len(deliveries) < limit and (wait == 0 or self._lost.get(queue)):
                try:
                    deliveries += self._claim([queue], limit - len(deliveries), lease)[0]
                except JobKitError as error:
                    first_error = first_error or error
        # One server of a cluster that is down does not stop the work on the others.
        if first_error and not deliveries:
            raise first_error
        return deliveries, min(waits.values(), default=NEVER)

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> tuple[list[Delivery], float]:
        # Counted from before the request, so that this side never believes in a lease for longer than the server does.
        until = self._clock.steady() + lease
        loan = secrets.token_hex(8)
        lost = self._take_lost(queues)
        keys = [key for queue in queues for key in self._server.keys.of_queue(queue)]
        words: list[Word] = [min(limit, MOST_AT_ONCE), microseconds(lease), loan, MOST_BYTES, *lost]
        try:
            reply = self._server.one(run(CLAIM, keys, *words))
        except JobKitError as error:
            self._keep_lost(queues, [*lost, loan] if isinstance(error, ReplyLost) else lost)
            raise
        return _deliveries(reply, queues, loan, until), _seconds(reply[0])

    def _take_lost(self, queues: Sequence[str]) -> list[str]:
        if not self._lost:
            return []
        with self._lock:
            return list(dict.fromkeys(loan for queue in queues for loan in self._lost.pop(queue, ())))

    def _keep_lost(self, queues: Sequence[str], loans: Sequence[str]) -> None:
        if loans:
            with self._lock:
                for queue in queues:
                    self._lost[queue] = [*self._lost[queue], *loans][-MOST_LOST:]


def _deliveries(reply: Sequence[Reply], queues: Sequence[str], loan: str, until: float) -> list[Delivery]:
    return [
        Delivery(
            message=Message(id=reply[n + 1].decode(), queue=queues[reply[n] - 1], body=reply[n + 3]),
            receives=int(reply[n + 2]),
            lease_until=until,
            receipt=loan,
        )
        for n in range(1, len(reply), 4)
    ]


def _seconds(microseconds: int) -> float:
    """Until something is due; a little more than what was said, so that it is due by then."""
    if microseconds < 0:
        return NEVER
    return microseconds / 1_000_000 + 0.001 if microseconds else 0.0
