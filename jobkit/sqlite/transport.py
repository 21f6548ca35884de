"""The transport: each call is one short transaction, whatever the batch's size."""

from __future__ import annotations

import itertools
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from jobkit.errors import Closed
from jobkit.sqlite import transactional
from jobkit.sqlite.database import Database
from jobkit.sqlite.doorbell import LATELY, LOOK_EVERY, LOOK_OFTEN, Doorbell
from jobkit.sqlite.receipts import Receipt, receipt_of, state_and_wake, successors_of
from jobkit.sqlite.sql import statements
from jobkit.sqlite.writes import CAPABILITIES as RECORDS
from jobkit.store import Write, check_writes
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

FOREVER = 10 * 365 * 86400.0
YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)

CAPABILITIES = TransportCapabilities(
    name="sqlite",
    durable=True,
    shared=True,
    atomic_again=True,
    atomic_successors=True,
    single_delivery=True,
    fence="broker",
    transactional=True,
    exact_counts=True,
    knows_age=True,
    max_delay=FOREVER,
    max_lease=FOREVER,
    max_body=64 * 1024 * 1024,
    min_lease=0.01,
    wake_latency=0.25,
    lease_slack=0.25,
)


class SqliteTransport:
    """
    Jobs in one namespace of one file, shared by the processes of one host.

    It is `jobkit.transactional.Transactional` too. What is sent inside the caller's own transaction rings no bell, and is
    found within `LOOK_EVERY` seconds of its commit.
    """

    capabilities = CAPABILITIES

    def __init__(self, database: Database, bell: Doorbell) -> None:
        self._database = database
        self._bell = bell
        self._clock = database.clock
        self._sql = statements("jobs", database.namespace)
        self._last_found = -LATELY

    @property
    def path(self) -> str:
        """The file, which a caller's own connection must have open to enqueue through it."""
        return self._database.path

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        self._check_open()
        if messages:
            self._database.write(lambda connection: self._insert(connection, messages))
            self._ring_for(messages)
        return [Sent(Answer.YES)] * len(messages)

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        deadline = self._clock.clock.steady() + wait
        deliveries, _ = self._receive_now(queues, limit, lease)
        if deliveries or wait <= 0 or stop.is_set():
            return deliveries
        with self._bell.listen() as ear:
            while True:
                deliveries, next_due = self._receive_now(queues, limit, lease)
                rest = deadline - self._clock.clock.steady()
                if deliveries or rest <= 0 or stop.is_set():
                    return deliveries
                ear.wait(min(rest, next_due, self._patience()))

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        successors = successors_of(settlements)
        check_messages(successors, self.capabilities)
        self._check_open()
        if not settlements:
            return []
        loans = [receipt_of(settlement.delivery) for settlement in settlements]
        # Reversed, so that of several settlements of one loan the first one counts.
        firsts = dict(zip(reversed(loans), reversed(settlements), strict=True))
        ended = self._database.write(lambda connection: self._settle(connection, firsts))
        self._ring_for(successors)
        pairs = zip(loans, settlements, strict=True)
        return [YES if loan in ended and firsts[loan] is settlement else LOST for loan, settlement in pairs]

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self._check_open()
        if not deliveries:
            return []

        def work(connection: sqlite3.Connection) -> set[Receipt]:
            now = self._clock.now()
            return self._for_each_loan(connection, "extend", map(receipt_of, deliveries), now, (now + lease,))

        held = self._database.write(work)
        return [YES if receipt_of(delivery) in held else LOST for delivery in deliveries]

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        return self._database.read(lambda connection: self._depth(connection, queues))

    def purge(self, queue: str) -> int | None:
        return self._database.write(
            lambda connection: connection.execute(self._sql["purge"], (queue, self._clock.now())).rowcount
        )

    def statements(
        self, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
    ) -> list[Statement]:
        check_messages([*sends, *successors_of(settlements)], self.capabilities)
        check_writes(writes, RECORDS)
        self._check_open()
        return transactional.statements(self._database, sends, settlements, writes)

    def close(self) -> None:
        self._database.close()
        self._bell.ring()

    def _check_open(self) -> None:
        if self._database.closed:
            raise Closed("this sqlite transport is closed")

    def _ring_for(self, messages: Sequence[Message]) -> None:
        # What is due later is seen in time by the receivers' own looks.
        if any(message.delay <= LOOK_EVERY for message in messages):
            self._bell.ring()

    def _receive_now(self, queues: Sequence[str], limit: int, lease: float) -> tuple[list[Delivery], float]:
        """What is due, and in how many seconds something else will be."""
        due, next_due = self._database.read(lambda connection: self._look(connection, queues))
        if not due or limit <= 0:
            return [], next_due
        self._last_found = time.monotonic()
        return self._database.write(lambda connection: self._claim(connection, due, limit, lease)), next_due

    def _patience(self) -> float:
        return LOOK_OFTEN if time.monotonic() - self._last_found < LATELY else LOOK_EVERY

    def _look(self, connection: sqlite3.Connection, queues: Sequence[str]) -> tuple[list[str], float]:
        """Which queues have something due. Read-only, so that idle receivers leave the write lock alone."""
        now, soonest, due = self._clock.now(), FOREVER, []
        for queue, ready, wake in connection.execute(self._sql["look"], (json.dumps(list(queues)),)).fetchall():
            if ready or (wake is not None and wake <= now):
                due.append(queue)
            elif wake is not None:
                soonest = min(soonest, wake - now)
        return due, soonest

    def _claim(self, connection: sqlite3.Connection, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        now, until, token = self._clock.now(), self._clock.clock.steady() + lease, secrets.randbits(62)
        deliveries: list[Delivery] = []
        for queue in queues:
            if len(deliveries) < limit:
                connection.execute(self._sql["promote"], (queue, now))
                rows = connection.execute(self._sql["claim"], (now + lease, token, queue, limit - len(deliveries)))
                # RETURNING gives the rows in any order, and commits only once all are fetched.
                deliveries += [_delivery(queue, token, until, *row) for row in sorted(rows.fetchall(), key=_seq)]
        return deliveries

    def _insert(self, connection: sqlite3.Connection, messages: Iterable[Message]) -> None:
        now = self._clock.now()
        rows = [(message.queue, message.id, *state_and_wake(message, now), message.body) for message in messages]
        connection.executemany(self._sql["send"], rows)

    def _settle(self, connection: sqlite3.Connection, settlements: Mapping[Receipt, Settlement]) -> set[Receipt]:
        """The loans that were ended. Removing comes first, so that a successor may bear the id of its predecessor."""
        now = self._clock.now()
        done = {loan: each.then for loan, each in settlements.items() if isinstance(each, Done)}
        ended = self._for_each_loan(connection, "done", done, now)
        for loan, each in settlements.items():
            if isinstance(each, Again) and self._again(connection, loan, each.message, now):
                ended.add(loan)
        successors = [message for loan, then in done.items() if then and loan in ended for message in then]
        if successors:
            self._insert(connection, successors)
        return ended

    def _again(self, connection: sqlite3.Connection, loan: Receipt, message: Message, now: float) -> bool:
        values = (*state_and_wake(message, now), message.body, *loan, now)
        return connection.execute(self._sql["again"], values).rowcount == 1

    def _for_each_loan(
        self, connection: sqlite3.Connection, name: str, loans: Iterable[Receipt], now: float, first: tuple[float, ...] = ()
    ) -> set[Receipt]:
        """Run one statement for all loans of each receive, and return those for which it found the row still lent."""
        held: set[Receipt] = set()
        for token, group in itertools.groupby(sorted(loans, key=_token), key=_token):
            numbers = json.dumps([loan.seq for loan in group])
            rows = connection.execute(self._sql[name], (*first, numbers, token, now)).fetchall()
            held.update(Receipt(seq, token) for (seq,) in rows)
        return held

    def _depth(self, connection: sqlite3.Connection, queues: Sequence[str]) -> list[Depth]:
        names = list(queues) or [name for (name,) in connection.execute(self._sql["queues"]).fetchall()]
        now = self._clock.now()
        return [_depth(now, *row) for row in connection.execute(self._sql["depth"], (now, json.dumps(names))).fetchall()]


def _delivery(queue: str, token: int, until: float, seq: int, name: str, body: bytes, receives: int) -> Delivery:
    message = Message(id=name, queue=queue, body=body)
    return Delivery(message=message, receives=receives, lease_until=until, receipt=Receipt(seq, token))


def _depth(
    now: float,
    queue: str,
    ready: int,
    come_due: int,
    delayed: int,
    leased: int,
    ready_since: float | None,
    due_since: float | None,
) -> Depth:
    oldest = min((since for since in (ready_since, due_since) if since is not None), default=None)
    age = None if oldest is None else max(0.0, now - oldest)
    return Depth(queue=queue, ready=ready + come_due, delayed=delayed, leased=leased, oldest_age=age)


def _seq(row: tuple[int, str, bytes, int]) -> int:
    return row[0]


def _token(loan: Receipt) -> int:
    return loan.token
