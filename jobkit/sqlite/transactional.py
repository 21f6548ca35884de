"""
Statements for the caller's own connection: each takes one JSON text, since every placeholder style can carry that.

JSON can not carry all bytes, and SQLite could not decode them before 3.41. So a body that is proper text travels in the
JSON, and any other is written into the statement as a hexadecimal literal.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jobkit.sqlite import writes as conditional
from jobkit.sqlite.database import Database
from jobkit.sqlite.receipts import Receipt, receipt_of, state_and_wake
from jobkit.sqlite.sql import statements as load
from jobkit.store import Write, Written
from jobkit.transactional import Statement
from jobkit.transport import Again, Answer, Done, Message, Sent, Settled, Settlement

Read = Callable[[Sequence[str]], Sequence[Sent | Settled | Written]]
Row = list[Any]


class Composer:
    """Composes statements for one namespace, as of the instant *now*."""

    def __init__(self, namespace: str, now: float) -> None:
        self._namespace = namespace
        self._now = now
        self._sql = load("shared", namespace)

    def sends(self, messages: Sequence[Message], after: Receipt | None = None) -> Iterator[Statement]:
        """One statement for each run of messages with text bodies, one for each other message."""
        answers = 0 if after else 1
        for plain, run in itertools.groupby(messages, key=lambda message: text_of(message.body) is not None):
            for part in [list(run)] if plain else [[message] for message in run]:
                rows = [self._row(message, after) for message in part]
                yield _statement(self._sql["send"], rows, part[0].body, _all_sent(answers * len(part)))

    def settlement(self, settlement: Settlement) -> Iterator[Statement]:
        loan = receipt_of(settlement.delivery)
        match settlement:
            case Again(message=message):
                yield self._again(message, loan)
            case Done(then=then):
                yield from self._done(settlement.delivery.message, then, loan)

    def write(self, write: Write) -> Statement:
        operation = conditional.operation(write, self._namespace, self._now)
        body = write.value or b""
        return _split(operation.sql, operation.json(text_of(body)), body, lambda texts: [operation.read(texts)])

    def _done(self, ended: Message, then: Sequence[Message], loan: Receipt) -> Iterator[Statement]:
        """
        Successors go first, while the job that they depend on is still there to be asked for its lease.

        One with that job's own id and queue would meet it there, so it takes its place instead.
        """
        heirs = [message for message in then if (message.id, message.queue) == (ended.id, ended.queue)]
        yield from self.sends([message for message in then if message not in heirs], after=loan)
        if heirs:
            yield self._again(heirs[0], loan)
        else:
            yield _statement(self._sql["done"], [[*loan, self._now]], b"", _whether_held)

    def _again(self, message: Message, loan: Receipt) -> Statement:
        return _statement(self._sql["again"], [self._row(message, loan)], message.body, _whether_held)

    def _row(self, message: Message, loan: Receipt | None) -> Row:
        row = [message.queue, message.id, *state_and_wake(message, self._now), text_of(message.body)]
        return [*row, *loan, self._now] if loan else row


def statements(
    database: Database, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
) -> list[Statement]:
    """See `jobkit.transactional.Transactional.statements`."""
    composer = Composer(database.namespace, database.clock.now())
    settled = (statement for settlement in settlements for statement in composer.settlement(settlement))
    return [*composer.sends(sends), *settled, *map(composer.write, writes)]


def text_of(body: bytes) -> str | None:
    """*body* as text that JSON and SQLite give back byte for byte; None if there is none. SQLite ends texts at a NUL."""
    if b"\0" in body:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _statement(sql: str, rows: Sequence[Row], body: bytes, read: Read) -> Statement:
    return _split(sql, json.dumps(rows, ensure_ascii=False), body, read)


def _split(sql: str, parameter: str, body: bytes, read: Read) -> Statement:
    in_json = text_of(body) is not None
    bytes_sql = "CAST(json_extract(given.value, '$[4]') AS BLOB)" if in_json else f"X'{body.hex()}'"
    before, after = sql.replace("{body}", bytes_sql).split("{json}")
    return Statement(before, parameter, after, read)


def _all_sent(count: int) -> Read:
    # A row that is missing in the answer was there already, from a send whose reply was lost.
    return lambda texts: [Sent(Answer.YES)] * count


def _whether_held(texts: Sequence[str]) -> list[Settled]:
    return [Settled(Answer.YES if texts else Answer.LOST)]
