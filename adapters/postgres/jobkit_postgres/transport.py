"""The transport: each call is one statement, and the schema's functions do the work."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable, Sequence

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import Uncertain
from jobkit.store import Write
from jobkit.transactional import Statement
from jobkit.transport import (
    Again,
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
from jobkit_postgres import wire
from jobkit_postgres.failures import ReplyLost
from jobkit_postgres.listener import Listener
from jobkit_postgres.options import Target
from jobkit_postgres.pieces import ask
from jobkit_postgres.pool import Pool
from jobkit_postgres.statements import statements
from jobkit_postgres.waiting import LONGEST, Debounce, Doorbell, Pace

TEN_YEARS = 10 * 365 * 86400.0
MEBIBYTE = 1024 * 1024

CAPABILITIES = TransportCapabilities(
    name="postgresql",
    durable=True,
    shared=True,
    atomic_again=True,
    atomic_successors=True,
    single_delivery=True,
    fence="broker",
    transactional=True,
    exact_counts=True,
    knows_age=True,
    max_delay=TEN_YEARS,
    max_lease=TEN_YEARS,
    # Bodies travel as base64 or hex within one JSON text, and the driver copies that a few times.
    max_body=16 * MEBIBYTE,
    min_lease=0.05,
    wake_latency=1.0,
    lease_slack=1.0,
)

PURGE_AT_ONCE = 20_000


class PostgresTransport:
    """One holder's handle on the jobs of one namespace. Safe for several threads."""

    capabilities = CAPABILITIES

    def __init__(self, target: Target, clock: Clock = SYSTEM_CLOCK) -> None:
        self._schema = target.schema
        self._clock = clock
        self._pool = Pool(target)
        self._doorbell = Doorbell()
        self._listener = Listener(self._pool, self._doorbell)
        self._pace = Pace()
        self._debounce = Debounce()
        self._send = (
            f"select {self._schema}.send(cast(:messages as jsonb)), "
            f"(select count(pg_notify('{target.options.namespace}', queue)) from unnest(cast(:rung as text[])) as queue)"
        )
        self._receive = f"select {self._schema}.receive(cast(:queues as text[]), :most, :lease, :loan)"
        self._settle = f"select {self._schema}.settle(cast(:settlements as jsonb))"
        self._extend = f"select {self._schema}.extend(cast(:loans as jsonb), :lease)"

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        self._pool.check_open()
        reasons = [wire.refusal(message) for message in messages]
        good = [message for message, reason in zip(messages, reasons, strict=True) if not reason]
        answers = iter(ask(good, wire.encode_messages, self._send_piece, _unsent))
        return [Sent(Answer.FAILED, reason) if reason else next(answers) for reason in reasons]

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        end = self._clock.steady() + wait
        while True:
            seen = self._doorbell.count(queues)
            deliveries, next_due = self._claim(queues, limit, lease)
            rest = end - self._clock.steady()
            if deliveries:
                self._pace.active(queues)
            if deliveries or rest <= 0 or stop.is_set():
                return deliveries
            self._listener.start()
            if self._doorbell.wait(queues, seen, min(rest, next_due, self._pace.pause(queues)), stop):
                self._pace.active(queues)

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        check_messages(_stored_by(settlements), self.capabilities)
        self._pool.check_open()
        reasons = [_refusal(settlement) for settlement in settlements]
        good = [settlement for settlement, reason in zip(settlements, reasons, strict=True) if not reason]
        answers = iter(ask(good, wire.encode_settlements, self._settle_piece, _unsettled))
        settled = [Settled(Answer.FAILED, reason) if reason else next(answers) for reason in reasons]
        self._ring_here(_stored_by(settlements))
        return settled

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self._pool.check_open()

        def extend_piece(piece: Sequence[Delivery], text: str) -> list[Settled]:
            ((answer,),) = self._pool.run(self._extend, loans=text, lease=lease)
            return wire.read_settled(answer, len(piece))

        return ask(deliveries, wire.encode_loans, extend_piece, _unsettled)

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        sql = f"select {self._schema}.depth(cast(:queues as text[]))"
        ((answer,),) = self._pool.run(sql, queues=_array(queues))
        found = {
            row[0]: Depth(queue=row[0], ready=row[1], delayed=row[2], leased=row[3], oldest_age=row[4])
            for row in json.loads(answer)
        }
        empty = (Depth(queue=name, ready=0, delayed=0, leased=0, oldest_age=None) for name in queues if name not in found)
        found.update((depth.queue, depth) for depth in empty)
        return [found[name] for name in queues or found]

    def purge(self, queue: str) -> int | None:
        removed, last = 0, PURGE_AT_ONCE
        end = self._clock.steady() + self._pool.target.options.timeout
        while last == PURGE_AT_ONCE and self._clock.steady() < end:
            try:
                ((count,),) = self._pool.run(f"select {self._schema}.purge(:queue, {PURGE_AT_ONCE})", queue=queue)
            except ReplyLost as error:
                raise Uncertain(f"some of {queue!r} may have been purged: {error}") from error
            last = int(count)
            removed += last
        return removed

    def statements(
        self, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
    ) -> list[Statement]:
        check_messages([*sends, *_stored_by(settlements)], self.capabilities)
        for reason in (*map(wire.refusal, sends), *map(_refusal, settlements)):
            if reason:
                raise ValueError(reason)
        return statements(self._schema, sends, settlements, writes)

    def close(self) -> None:
        self._pool.close()
        self._listener.close()
        self._doorbell.ring_all()

    def _send_piece(self, piece: Sequence[Message], text: str) -> list[Sent]:
        rung = self._debounce.due(_soon(piece))
        self._pool.run(self._send, messages=text, rung=_array(rung))
        self._ring_here(piece)
        return [wire.SENT] * len(piece)

    def _settle_piece(self, piece: Sequence[Settlement], text: str) -> list[Settled]:
        ((answer,),) = self._pool.run(self._settle, settlements=text)
        return wire.read_settled(answer, len(piece))

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> tuple[list[Delivery], float]:
        """What is due, or else the seconds until something will be."""
        # Counted from before the request, so that this side never believes in a lease for longer than the server does.
        until = self._clock.steady() + lease
        loan = secrets.randbits(53)
        ((answer,),) = self._pool.run(self._receive, queues=_array(queues), most=limit, lease=lease, loan=loan)
        found = json.loads(answer)
        deliveries = [
            Delivery(
                message=Message(id=name, queue=queue, body=bytes.fromhex(body)),
                receives=receives,
                lease_until=until,
                receipt=loan,
            )
            for queue, name, receives, body in found["jobs"]
        ]
        return deliveries, LONGEST if found["next"] is None else max(0.0, found["next"]) + 0.001

    def _ring_here(self, messages: Iterable[Message]) -> None:
        """Wake this process's own receivers, which need no signal from the server."""
        if queues := _soon(messages):
            self._doorbell.ring(queues)


def _unsent(reason: str) -> Sent:
    return Sent(Answer.UNKNOWN, reason)


def _unsettled(reason: str) -> Settled:
    return Settled(Answer.UNKNOWN, reason)


def _stored_by(settlements: Sequence[Settlement]) -> list[Message]:
    """All messages that *settlements* would store."""
    messages: list[Message] = []
    for settlement in settlements:
        match settlement:
            case Done(then=then):
                messages.extend(then)
            case Again(delivery=delivery, message=message):
                if (message.id, message.queue) != (delivery.message.id, delivery.message.queue):
                    raise ValueError("Again keeps the message's id and queue")
                messages.append(message)
    return messages


def _refusal(settlement: Settlement) -> str:
    """Why what *settlement* would store can't be; empty if it can."""
    return next(filter(None, map(wire.refusal, settlement.then)), "") if isinstance(settlement, Done) else ""


def _soon(messages: Iterable[Message]) -> set[str]:
    """The queues whose receivers should look again: those that get something before they would look by themselves."""
    return {message.queue for message in messages if message.delay <= LONGEST}


def _array(names: Iterable[str]) -> str:
    """Queue names as PostgreSQL writes an array; they hold nothing that would have to be quoted."""
    return f"{{{','.join(names)}}}"
