"""jobkit/sqlite/transactional.py: jobs and records that live and die with the caller's own transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing as closes

import pytest
from sqlalchemy import create_engine, text

from jobkit.clock import ManualClock
from jobkit.errors import TooLarge
from jobkit.sqlite.options import path_of
from jobkit.sqlite.store import SqliteStore
from jobkit.sqlite.transport import SqliteTransport
from jobkit.store import Expect, Key, Record, Write, Written
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement
from jobkit.url import Url

from .conftest import Open

NEVER = threading.Event()
KEY = Key("box", "name")
YES, LOST = Answer.YES, Answer.LOST
Call = tuple[list[Message], list[Settlement], list[Write]]
BODIES = [
    b"",
    b"plain",
    bytes(range(256)),
    b"a\0b",
    "Grüße \U0001f600   \x7f".encode(),
    b'"\\/\b\f\n\r\t\x01\x1f%s :x ? $1 {}',
    b"\\u0000",
    b"\xff",
    b"\xed\xa0\x80",
    b"'; DROP TABLE jobkit_job; --",
]


@pytest.fixture(params=["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", None])
def connection(request: pytest.FixtureRequest, url: Url, transport: SqliteTransport) -> Iterator[sqlite3.Connection]:
    """The caller's own connection, in each of the modes that Python's sqlite3 knows; None is autocommit."""
    transport.depth([])
    with closes(sqlite3.connect(path_of(url), isolation_level=request.param)) as connection:
        yield connection


def execute(
    connection: sqlite3.Connection,
    transport: SqliteTransport,
    sends: Sequence[Message] = (),
    settlements: Sequence[Settlement] = (),
    writes: Sequence[Write] = (),
) -> list[Sent | Settled | Written]:
    """As the core does it. In autocommit mode the caller begins by hand."""
    if connection.isolation_level is None and not connection.in_transaction:
        connection.execute("BEGIN")
    answers: list[Sent | Settled | Written] = []
    for statement in transport.statements(sends, settlements, writes):
        assert not set("%:?") & set(statement.before + statement.after)
        rows = connection.execute(f"{statement.before}?{statement.after}", (statement.parameter,)).fetchall()
        answers += statement.read([column for (column,) in rows])
    assert connection.in_transaction
    return answers


def message(name: str, body: bytes = b"body", delay: float = 0.0) -> Message:
    return Message(id=name, queue="q", body=body, delay=delay)


def receive(transport: SqliteTransport, lease: float = 60.0) -> list[Delivery]:
    return transport.receive(["q"], limit=100, wait=0, lease=lease, stop=NEVER)


def found(transport: SqliteTransport) -> list[tuple[str, bytes]]:
    return [(delivery.message.id, delivery.message.body) for delivery in receive(transport)]


def test_a_send_is_seen_after_the_commit_and_not_before(transport: SqliteTransport, connection: sqlite3.Connection) -> None:
    answers = execute(connection, transport, [message("a"), message("b", b"\xff"), message("c")])
    assert [answer.answer for answer in answers] == [YES] * 3
    assert found(transport) == []
    connection.commit()
    assert found(transport) == [("a", b"body"), ("b", b"\xff"), ("c", b"body")]


def test_a_send_is_gone_after_a_rollback_even_if_the_transaction_began_with_it(
    transport: SqliteTransport, store: SqliteStore, connection: sqlite3.Connection
) -> None:
    transport.send([message("held")])
    (held,) = receive(transport)
    store.put([Write(KEY, b"old")])
    cases: list[Call] = [
        ([message("a")], [], []),
        ([message("a", b"\xff")], [], []),
        ([], [Done(held, [message("b")])], []),
        ([], [Again(held, message("held", b"new"))], []),
        ([], [], [Write(KEY, b"new")]),
        ([], [], [Write(KEY, None)]),
    ]
    for sends, settlements, writes in cases:
        answers = execute(connection, transport, sends, settlements, writes)
        assert [answer.answer for answer in answers] == [YES]
        connection.rollback()
    assert found(transport) == []
    assert transport.depth(["q"])[0].leased == 1
    assert [record and record.value for record in store.get([KEY])] == [b"old"]


def test_every_body_comes_out_byte_for_byte(transport: SqliteTransport, connection: sqlite3.Connection) -> None:
    execute(connection, transport, [message(str(number), body) for number, body in enumerate(BODIES)])
    connection.commit()
    assert found(transport) == [(str(number), body) for number, body in enumerate(BODIES)]


@pytest.mark.parametrize("body", BODIES)
def test_every_body_and_value_survives_again_successors_and_records(
    transport: SqliteTransport, store: SqliteStore, connection: sqlite3.Connection, body: bytes
) -> None:
    transport.send([message("a"), message("b")])
    first, second = receive(transport)
    settlements: list[Settlement] = [Again(first, message("a", body)), Done(second, [message("c", body)])]
    answers = execute(connection, transport, [], settlements, [Write(KEY, body)])
    connection.commit()
    assert [answer.answer for answer in answers] == [YES] * 3
    assert found(transport) == [("a", body), ("c", body)]
    assert store.get([KEY]) == [Record(body, answers[2].version or "")]  # type: ignore[union-attr]


def test_a_repeated_send_of_a_living_id_makes_no_second_copy(
    transport: SqliteTransport, connection: sqlite3.Connection
) -> None:
    transport.send([message("a", b"first")])
    answers = execute(connection, transport, [message("a", b"second"), message("b"), message("b")])
    connection.commit()
    assert [answer.answer for answer in answers] == [YES] * 3
    assert found(transport) == [("a", b"first"), ("b", b"body")]


def test_a_lost_lease_is_told_and_nothing_is_changed(open_transport: Open, connection: sqlite3.Connection) -> None:
    clock = ManualClock()
    transport = open_transport(clock=clock)
    # The file's instants were written in real time; they have to start anew for a clock that starts at zero.
    connection.execute("UPDATE jobkit_meta SET steady = 0")
    connection.commit()
    transport.send([message("a"), message("b")])
    late, other = receive(transport, lease=1)
    clock.advance(2)
    (holder,) = [delivery for delivery in receive(transport, lease=60) if delivery.message.id == "a"]
    settlements: list[Settlement] = [
        Done(late, [message("x"), message("y", b"\xff")]),
        Again(other, message("b", b"new")),
        Done(holder, [message("z")]),
        Done(holder, [message("zz")]),
    ]
    answers = execute(connection, transport, [], settlements)
    connection.commit()
    assert [answer.answer for answer in answers] == [LOST, LOST, YES, LOST]
    assert found(transport) == [("z", b"body")]


def test_a_successor_that_bears_the_id_of_the_job_that_ended_takes_its_place(
    transport: SqliteTransport, connection: sqlite3.Connection
) -> None:
    transport.send([message("a", b"first")])
    (delivery,) = receive(transport)
    answers = execute(connection, transport, [], [Done(delivery, [message("b"), message("a", b"second")])])
    connection.commit()
    assert [answer.answer for answer in answers] == [YES]
    assert sorted(found(transport)) == [("a", b"second"), ("b", b"body")]


def test_a_delay_counts_from_the_send(transport: SqliteTransport, connection: sqlite3.Connection) -> None:
    execute(connection, transport, [message("a", delay=0.2), message("b", b"\xff", delay=1000)])
    connection.commit()
    assert found(transport) == []
    (delivery,) = transport.receive(["q"], limit=9, wait=30, lease=60, stop=NEVER)
    assert delivery.message.id == "a"


def test_record_writes_compare_as_the_store_does(
    transport: SqliteTransport, store: SqliteStore, connection: sqlite3.Connection
) -> None:
    first = execute(connection, transport, [], [], [Write(KEY, b"1", Expect.ABSENT), Write(Key("box", "é%:?'"), b"2")])
    connection.commit()
    assert [answer.answer for answer in first] == [YES, YES]
    (record,) = store.get([KEY])
    assert record is not None
    again = execute(connection, transport, [], [], [Write(KEY, b"3", Expect.ABSENT), Write(Key("box", "no"), None, "v")])
    assert [answer.answer for answer in again] == [LOST, LOST]
    assert execute(connection, transport, [], [], [Write(KEY, b"4", "other")])[0].answer is LOST
    assert execute(connection, transport, [], [], [Write(KEY, b"5", record.version, ttl=1000)])[0].answer is YES
    connection.commit()
    assert [each and each.value for each in store.get([KEY])] == [b"5"]
    assert execute(connection, transport, [], [], [Write(KEY, None, Expect.ABSENT)])[0].answer is LOST
    assert execute(connection, transport, [], [], [Write(KEY, None)])[0].answer is YES
    connection.commit()
    assert store.get([KEY]) == [None]


def test_answers_come_in_the_order_of_the_call(
    transport: SqliteTransport, store: SqliteStore, connection: sqlite3.Connection
) -> None:
    transport.send([message("a"), message("b")])
    first, second = receive(transport)
    transport.settle([Done(second)])
    answers = execute(
        connection,
        transport,
        [message("c"), message("d", b"\xff")],
        [Done(second), Done(first, [message("e"), message("f", b"\xfe")])],
        [Write(KEY, b"1", "none"), Write(Key("box", "b"), b"2")],
    )
    connection.commit()
    assert [type(answer).__name__ for answer in answers] == ["Sent"] * 2 + ["Settled"] * 2 + ["Written"] * 2
    assert [answer.answer for answer in answers] == [YES, YES, LOST, YES, LOST, YES]


def test_what_is_too_large_or_out_of_bounds_is_refused_without_a_statement(transport: SqliteTransport) -> None:
    huge = b"x" * (transport.capabilities.max_body + 1)
    with pytest.raises(TooLarge):
        transport.statements([message("a", huge)], [], [])
    with pytest.raises(TooLarge):
        transport.statements([], [], [Write(KEY, huge)])
    with pytest.raises(ValueError, match="delay"):
        transport.statements([message("a", delay=-1)], [], [])


def test_sqlalchemy_carries_the_statements_too(url: Url, transport: SqliteTransport) -> None:
    transport.depth([])
    engine = create_engine(f"sqlite:///{path_of(url)}")
    for commit in (False, True):
        with engine.connect() as connection:
            for statement in transport.statements([message("a", body) for body in BODIES[:1]], [], []):
                sql = text(f"{statement.before}:parameter{statement.after}")
                connection.execute(sql, {"parameter": statement.parameter}).scalars().all()
            if commit:
                connection.commit()
        assert len(found(transport)) == commit
    engine.dispose()
