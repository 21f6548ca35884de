"""Jobs and records within the caller's own transaction, through every kind of connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pg8000
import pg8000.dbapi
import psycopg
import psycopg.rows
import pytest
import sqlalchemy
import sqlalchemy.orm

from jobkit import connections
from jobkit.errors import ConfigurationError, TooLarge
from jobkit.store import Expect, Key, Write, Written
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement
from jobkit.url import Url
from jobkit_postgres.options import Target
from jobkit_postgres.store import PostgresStore
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]

KEY = Key("colours", "a")
BODIES = {"text": b'{"name": "J\xc3\xbcrgen", "100%": ":x?"}', "bytes": bytes(range(256)), "empty": b""}


@attrs.frozen
class Caller:
    """A connection of some kind with an open transaction, and how that ends."""

    connection: Any
    commit: Callable[[], Any]
    rollback: Callable[[], Any]


def of_native(target: Target) -> Iterator[Caller]:
    with pg8000.native.Connection(
        target.user, host=target.host, port=target.port, database=target.database, password=target.password
    ) as connection:
        connection.run("begin")
        yield Caller(connection, lambda: connection.run("commit"), lambda: connection.run("rollback; begin"))


def of_dbapi(style: str) -> Callable[[Target], Iterator[Caller]]:
    def opened(target: Target) -> Iterator[Caller]:
        before = pg8000.dbapi.paramstyle
        connection = pg8000.dbapi.connect(
            target.user, host=target.host, port=target.port, database=target.database, password=target.password
        )
        pg8000.dbapi.paramstyle = style
        try:
            yield Caller(connection, connection.commit, connection.rollback)
        finally:
            pg8000.dbapi.paramstyle = before
            connection.close()

    return opened


def of_legacy(target: Target) -> Iterator[Caller]:
    connection = pg8000.connect(
        target.user, host=target.host, port=target.port, database=target.database, password=target.password
    )
    yield Caller(connection, connection.commit, connection.rollback)
    connection.close()


def of_psycopg(**options: Any) -> Callable[[Target], Iterator[Caller]]:
    def opened(target: Target) -> Iterator[Caller]:
        with psycopg.connect(
            host=target.host, port=target.port, user=target.user, password=target.password, dbname=target.database, **options
        ) as connection:
            yield Caller(connection, connection.commit, connection.rollback)

    return opened


def of_sqlalchemy(driver: str, session: bool) -> Callable[[Target], Iterator[Caller]]:
    def opened(target: Target) -> Iterator[Caller]:
        url = sqlalchemy.URL.create(
            f"postgresql+{driver}", target.user, target.password, target.host, target.port, target.database
        )
        engine = sqlalchemy.create_engine(url)
        with sqlalchemy.orm.Session(engine) if session else engine.connect() as held:
            yield Caller(held, held.commit, held.rollback)
        engine.dispose()

    return opened


KINDS: dict[str, Callable[[Target], Iterator[Caller]]] = {
    "pg8000 native": of_native,
    **{f"pg8000 DB-API, {style}": of_dbapi(style) for style in ("format", "pyformat", "qmark", "numeric", "named")},
    "pg8000 legacy": of_legacy,
    "psycopg": of_psycopg(),
    "psycopg, rows as dicts": of_psycopg(row_factory=psycopg.rows.dict_row),
    "psycopg, raw placeholders": of_psycopg(cursor_factory=psycopg.RawCursor),
    "psycopg, client-side": of_psycopg(cursor_factory=psycopg.ClientCursor),
    "SQLAlchemy Connection, psycopg": of_sqlalchemy("psycopg", False),
    "SQLAlchemy Session, psycopg": of_sqlalchemy("psycopg", True),
    "SQLAlchemy Connection, pg8000": of_sqlalchemy("pg8000", False),
    "SQLAlchemy Session, pg8000": of_sqlalchemy("pg8000", True),
}


@pytest.fixture(params=KINDS)
def caller(request: pytest.FixtureRequest, url: Url) -> Iterator[Caller]:
    yield from KINDS[request.param](Target.of(url))


def test_what_is_enqueued_appears_with_the_commit(
    caller: Caller, transport: PostgresTransport, store: PostgresStore, message: Make, take: Take
) -> None:
    messages = [message(name, body) for name, body in BODIES.items()]
    answers = connections.enqueue(caller.connection, transport, messages, [Write(KEY, b"blue")])
    assert (transport.depth(["q"])[0].ready, store.get([KEY])) == (0, [None])
    caller.commit()
    assert {delivery.message.id: delivery.message.body for delivery in take(transport)} == BODIES
    (record,) = store.get([KEY])
    assert record is not None
    assert record.value == b"blue"
    assert answers == [*[Sent(Answer.YES)] * 3, Written(Answer.YES, record.version)]


def test_what_is_enqueued_is_gone_with_the_rollback(
    caller: Caller, transport: PostgresTransport, store: PostgresStore, message: Make
) -> None:
    connections.enqueue(caller.connection, transport, [message("a")], [Write(KEY, b"blue")])
    caller.rollback()
    assert (transport.depth(["q"])[0].ready, store.get([KEY])) == (0, [None])


def test_settlements_join_the_transaction(
    caller: Caller, transport: PostgresTransport, store: PostgresStore, message: Make, take: Take
) -> None:
    transport.send([message("a"), message("b"), message("gone")])
    a, b, gone = take(transport)
    transport.settle([Done(gone)])
    settlements: list[Settlement] = [Done(a, (message("c"),)), Done(gone), Again(b, message("b", b"anew"))]
    words = [Settled(Answer.YES), Settled(Answer.LOST), Settled(Answer.YES)]
    assert connections.enqueue(caller.connection, transport, [], [], settlements) == words
    caller.rollback()
    assert transport.depth(["q"])[0].leased == 2
    writes = [Write(KEY, b"x", Expect.ABSENT), Write(Key("colours", "b"), b"x", "123")]
    answers = connections.enqueue(caller.connection, transport, [], writes, settlements)
    caller.commit()
    assert [answer.answer for answer in answers] == [
        *(word.answer for word in words),
        Answer.YES,
        Answer.LOST,
    ]
    assert sorted(delivery.message.body for delivery in take(transport)) == [b"anew", b"x"]


def test_a_large_body_passes(caller: Caller, transport: PostgresTransport, message: Make, take: Take) -> None:
    body = bytes(range(256)) * 8192
    connections.enqueue(caller.connection, transport, [message("a", body)], [])
    caller.commit()
    assert take(transport)[0].message.body == body


def test_a_connection_to_postgresql_is_refused_for_jobs_elsewhere(caller: Caller, transport: PostgresTransport) -> None:
    elsewhere = attrs.make_class("Elsewhere", ["capabilities"])(attrs.evolve(transport.capabilities, name="sqlite"))
    with pytest.raises(ConfigurationError, match="leads to postgresql, and the jobs live in sqlite"):
        connections.enqueue(caller.connection, elsewhere, [], [])


def test_statements_hold_nothing_that_a_placeholder_style_would_take_for_its_own(
    transport: PostgresTransport, message: Make, take: Take
) -> None:
    transport.send([message("a")])
    statements = transport.statements([message("b")], [Done(take(transport)[0])], [Write(KEY, b"x")])
    assert len(statements) == 3
    assert not set("%:?") & set("".join(statement.before + statement.after for statement in statements))


def test_what_can_not_be_stored_is_refused_before_anything_is_executed(transport: PostgresTransport, message: Make) -> None:
    with pytest.raises(TooLarge):
        transport.statements([message("a", bytes(transport.capabilities.max_body + 1))], [], [])
    with pytest.raises(ValueError, match="message id"):
        transport.statements([message("a\0")], [], [])
    with pytest.raises(ValueError, match="queue name"):
        transport.statements([message("a", queue="no spaces")], [], [])
