"""Enqueueing within the caller's own transaction, on SQLite; the PostgreSQL kinds are in that adapter's tests."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy
import sqlalchemy.orm

from jobkit import connections
from jobkit.errors import ConfigurationError, Unsupported
from jobkit.memory import MemoryAdapter
from jobkit.sqlite import adapter
from jobkit.store import Expect, Key, Store, Write, Written
from jobkit.transactional import Statement
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement, Transport
from jobkit.url import Url

KEY = Key("colours", "a")
BODIES = {"text": b'{"name": "J\xc3\xbcrgen"}', "bytes": bytes(range(256)), "long": b"\xff" * 20_000, "empty": b""}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def transport(file: Path) -> Iterator[Transport]:
    with closing(adapter.transport(Url.parse(f"sqlite:///{file}"))) as opened:
        opened.depth(["q"])  # the tables are there before the caller's transaction
        yield opened


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with closing(adapter.store(Url.parse(f"sqlite:///{file}"))) as opened:
        yield opened


@attrs.frozen
class Caller:
    """A connection of some kind, and how its transaction ends."""

    connection: Any
    commit: Callable[[], None]
    rollback: Callable[[], None]


def sqlite3_caller(file: Path, **options: Any) -> Iterator[Caller]:
    with closing(sqlite3.connect(file, **options)) as connection:
        yield Caller(connection, connection.commit, connection.rollback)


def odd_sqlite3_caller(file: Path) -> Iterator[Caller]:
    """Rows that are no tuples, texts as bytes, and a transaction begun by hand."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.row_factory = lambda cursor, row: {"columns": len(row)}
        connection.text_factory = bytes
        connection.execute("BEGIN")
        yield Caller(connection, connection.commit, connection.rollback)


def sqlalchemy_caller(file: Path) -> Iterator[Caller]:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        yield Caller(connection, connection.commit, connection.rollback)
    engine.dispose()


def session_caller(file: Path) -> Iterator[Caller]:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with sqlalchemy.orm.Session(engine) as session:
        yield Caller(session, session.commit, session.rollback)
    engine.dispose()


def scoped_session_caller(file: Path) -> Iterator[Caller]:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    scoped = sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(engine))
    yield Caller(scoped, scoped.commit, scoped.rollback)
    scoped.remove()
    engine.dispose()


CALLERS = {
    "sqlite3": sqlite3_caller,
    "sqlite3, oddly set": odd_sqlite3_caller,
    "SQLAlchemy Connection": sqlalchemy_caller,
    "SQLAlchemy Session": session_caller,
    "SQLAlchemy scoped_session": scoped_session_caller,
}


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, file: Path, transport: Transport) -> Iterator[Caller]:
    yield from CALLERS[request.param](file)


def message(name: str, body: bytes = b"x") -> Message:
    return Message(id=name, queue="q", body=body)


def ready(transport: Transport) -> int | None:
    return transport.depth(["q"])[0].ready


def received(transport: Transport, limit: int = 10) -> list[Delivery]:
    return transport.receive(["q"], limit=limit, wait=0, lease=30, stop=threading.Event())


def test_what_is_enqueued_appears_with_the_commit(caller: Caller, transport: Transport, store: Store) -> None:
    messages = [message(name, body) for name, body in BODIES.items()]
    answers = connections.enqueue(caller.connection, transport, messages, [Write(KEY, b"blue")])
    assert (ready(transport), store.get([KEY])) == (0, [None])
    caller.commit()
    assert {delivery.message.id: delivery.message.body for delivery in received(transport)} == BODIES
    (record,) = store.get([KEY])
    assert record is not None
    assert answers == [*[Sent(Answer.YES)] * 4, Written(Answer.YES, record.version)]


def test_what_is_enqueued_is_gone_with_the_rollback(caller: Caller, transport: Transport, store: Store) -> None:
    connections.enqueue(caller.connection, transport, [message("a")], [Write(KEY, b"blue")])
    caller.rollback()
    assert (ready(transport), store.get([KEY])) == (0, [None])


def test_settlements_join_the_transaction(caller: Caller, transport: Transport) -> None:
    transport.send([message("a"), message("b")])
    first, second = received(transport)
    settlements: list[Settlement] = [Done(first, (message("c"),)), Again(second, message("b", b"anew"))]
    assert connections.enqueue(caller.connection, transport, [], [], settlements) == [Settled(Answer.YES)] * 2
    caller.rollback()
    assert (ready(transport), transport.depth(["q"])[0].leased) == (0, 2)
    connections.enqueue(caller.connection, transport, [], [], settlements)
    caller.commit()
    assert sorted(delivery.message.body for delivery in received(transport)) == [b"anew", b"x"]


def test_each_part_is_answered_in_order_and_on_its_own(caller: Caller, transport: Transport, store: Store) -> None:
    store.put([Write(KEY, b"blue")])
    transport.send([message("a")])
    (stale,) = received(transport)
    assert transport.settle([Done(stale)]) == [Settled(Answer.YES)]
    other = Key("colours", "b")
    writes = [Write(KEY, b"red", Expect.ABSENT), Write(other, b"red", Expect.ABSENT)]
    answers = connections.enqueue(caller.connection, transport, [message("n")], writes, [Done(stale)])
    caller.commit()
    assert [answer.answer for answer in answers] == [Answer.YES, Answer.LOST, Answer.LOST, Answer.YES]
    assert [record and record.value for record in store.get([KEY, other])] == [b"blue", b"red"]


def test_the_same_transaction_holds_the_callers_own_rows(file: Path, transport: Transport) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE orders (number INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1)")
        connections.enqueue(connection, transport, [message("a")], [])
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert ready(transport) == 0


@attrs.frozen
class Located:
    """A transport that says in which file its jobs live."""

    path: str
    inner: Any

    @property
    def capabilities(self) -> Any:
        return self.inner.capabilities


def test_a_connection_to_another_file_is_refused(caller: Caller, transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"jobs.db.*other.db"):
        connections.check_fits(caller.connection, Located(str(tmp_path / "other.db"), transport))  # type: ignore[arg-type]


def test_the_same_file_by_another_name_is_accepted(file: Path, transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(file)
    with closing(sqlite3.connect(tmp_path / "link.db")) as connection:
        connections.check_fits(connection, Located(str(file), transport))  # type: ignore[arg-type]


@attrs.frozen
class Elsewhere:
    """A transport that lives in another kind of database."""

    inner: Any

    @property
    def capabilities(self) -> Any:
        return attrs.evolve(self.inner.capabilities, name="postgresql")


def test_a_connection_to_another_kind_of_database_is_refused(caller: Caller, transport: Transport) -> None:
    with pytest.raises(ConfigurationError, match=r"leads to sqlite, and the jobs live in postgresql"):
        connections.enqueue(caller.connection, Elsewhere(transport), [message("a")], [])  # type: ignore[arg-type]


def test_a_broker_outside_any_database_refuses_all_connections() -> None:
    memory = MemoryAdapter().transport(Url.parse("memory://"))
    with pytest.raises(Unsupported, match="memory does not live in an SQL database"):
        connections.enqueue(object(), memory, [message("a")], [])


def test_an_unknown_kind_is_refused_with_the_names_of_the_known(transport: Transport) -> None:
    with pytest.raises(ConfigurationError, match=r"builtins.dict.*pg8000.*psycopg.*sqlalchemy.*sqlite3"):
        connections.enqueue({}, transport, [message("a")], [])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("asyncpg.connection", "Connection"),
        ("psycopg", "AsyncConnection"),
        ("sqlalchemy.ext.asyncio.engine", "AsyncConnection"),
        ("sqlalchemy.ext.asyncio.session", "AsyncSession"),
    ],
)
def test_an_asynchronous_kind_is_refused_by_name(module: str, name: str, transport: Transport) -> None:
    kind = type(name, (), {"__module__": module, "__qualname__": name})
    with pytest.raises(Unsupported, match=name):
        connections.enqueue(kind(), transport, [message("a")], [])


def test_a_subclass_of_a_known_kind_is_known(file: Path, transport: Transport) -> None:
    class Logging(sqlite3.Connection):
        pass

    with closing(sqlite3.connect(file, factory=Logging)) as connection:
        assert connections.kind_of(connection).name == "sqlite3.Connection"


def test_a_long_statement_is_not_kept_by_sqlalchemy(file: Path, transport: Transport) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", query_cache_size=10)
    with engine.connect() as connection:
        connections.enqueue(connection, transport, [message("a", b"\xff" * 100_000)], [])
        held = [key for key in engine._compiled_cache or () if len(str(key)) > 100_000]
    engine.dispose()
    assert held == []


def test_execute_takes_statements_as_they_are(file: Path, transport: Transport) -> None:
    statement = Statement("SELECT upper(", "abc", ")", lambda texts: [Sent(Answer.YES, text) for text in texts])
    with closing(sqlite3.connect(file)) as connection:
        assert connections.execute(connection, [statement, statement]) == [Sent(Answer.YES, "ABC")] * 2


def test_recognising_a_kind_imports_no_driver() -> None:
    code = (
        "import sys; from jobkit import connections; print({'psycopg', 'pg8000', 'sqlalchemy', 'asyncpg'} & {*sys.modules})"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "set()"
