"""
The caller's own database connection: jobs and records that exist if and only if its transaction commits.

A connection is recognised by the names of its classes, so that no driver is imported for the question. What is executed
comes from `Transactional.statements`; errors of the driver pass through as they are, since they belong to
the caller's transaction.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import attrs

from jobkit.errors import ConfigurationError, Unsupported
from jobkit.store import Write, Written
from jobkit.transactional import Statement, Transactional
from jobkit.transport import Message, Sent, Settled, Settlement, Transport

Answers = list[Sent | Settled | Written]
Run = Callable[[Any, Statement], list[Any]]

SQLITE = "sqlite"
POSTGRESQL = "postgresql"


class InFile(Protocol):
    """A transport whose database is one file, which the caller's connection must have open as its main one."""

    @property
    def path(self) -> str: ...


@attrs.frozen
class Kind:
    """
    One kind of connection.

    Attributes:
        name: For people.
        family: The database that a connection leads to, as `TransportCapabilities.name` says it.
        run: Executes one statement and returns its one column.
    """

    name: str
    family: Callable[[Any], str]
    run: Run


def enqueue(
    connection: Any,
    transport: Transport,
    messages: Sequence[Message],
    writes: Sequence[Write],
    settlements: Sequence[Settlement] = (),
) -> Answers:
    """
    Send, settle and write within the transaction of *connection*: the answers to *messages*, *settlements*, *writes*.

    Raises:
        ConfigurationError, Unsupported: As `check_fits`; nothing was written.
        TooLarge, ValueError: As `Transport.send`; nothing was written.
    """
    check_fits(connection, transport)
    return execute(connection, cast(Transactional, transport).statements(messages, settlements, writes))


def execute(connection: Any, statements: Sequence[Statement]) -> Answers:
    """
    Run *statements* on *connection*, in order, without beginning or ending a transaction of one's own.

    Raises:
        ConfigurationError: Not a known kind of connection.
        Unsupported: A kind that can't be used yet.
    """
    kind = kind_of(connection)
    answers: Answers = []
    for statement in statements:
        answers.extend(statement.read([_text(value) for value in kind.run(connection, statement)]))
    return answers


def check_fits(connection: Any, transport: Transport) -> None:
    """
    Refuse a connection that leads elsewhere than to the transport's jobs. Writes nothing.

    Raises:
        ConfigurationError: The kind is unknown, or leads to another kind of database or to another file.
        Unsupported: The kind can't be used yet, or the transport doesn't live in an SQL database.
    """
    capabilities = transport.capabilities
    if not capabilities.transactional:
        raise Unsupported(f"connection=: {capabilities.name} does not live in an SQL database")
    kind = kind_of(connection)
    family = kind.family(connection)
    if family != capabilities.name:
        raise ConfigurationError(
            f"connection=: this {kind.name} leads to {family}, and the jobs live in {capabilities.name}"
        )
    wanted = getattr(transport, "path", None)
    if family == SQLITE and isinstance(wanted, str):
        _check_file(connection, kind, wanted)


def kind_of(connection: Any) -> Kind:
    """
    Raises:
        ConfigurationError: Not a known kind; the message names those that are.
        Unsupported: An asynchronous kind.
    """
    for name in _class_names(connection):
        if name in _KINDS:
            return _KINDS[name]
        if name in _ASYNCHRONOUS:
            raise Unsupported(f"connection=: {_ASYNCHRONOUS[name]} can't be used yet; known are {_known()}")
    raise ConfigurationError(f"connection=: {_class_names(connection)[0]} is not a known kind; known are {_known()}")


def _class_names(connection: Any) -> list[str]:
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in type(connection).__mro__]


def _known() -> str:
    return ", ".join(sorted({kind.name for kind in _KINDS.values()}))


def _text(value: Any) -> str:
    """A connection may be set to hand out bytes for texts."""
    return value.decode() if isinstance(value, bytes) else str(value)


_MAIN_FILE = Statement("SELECT file FROM pragma_database_list WHERE name = CAST(", "main", " AS TEXT)", lambda texts: [])


def _check_file(connection: Any, kind: Kind, wanted: str) -> None:
    (found,) = map(_text, kind.run(connection, _MAIN_FILE))
    if os.path.realpath(found or ":memory:") != os.path.realpath(wanted):
        raise ConfigurationError(f"connection=: its main database is {found or 'in memory'}, and the jobs live in {wanted}")


def _in_sqlite3(connection: Any, statement: Statement) -> list[Any]:
    cursor = connection.cursor()
    cursor.row_factory = None  # whatever rows the caller likes, here they are tuples
    try:
        # All rows are fetched: until then SQLite has not finished the statement.
        return _first(cursor.execute(f"{statement.before}?{statement.after}", (statement.parameter,)).fetchall())
    finally:
        cursor.close()


def _in_pg8000_native(connection: Any, statement: Statement) -> list[Any]:
    return _first(connection.run(f"{statement.before}:jobkit{statement.after}", jobkit=statement.parameter))


# The DB-API face of pg8000 lets anyone change the style of placeholders, for the whole process and at any time.
_PLACEHOLDERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "format": ("%s", lambda text: (text,)),
    "qmark": ("?", lambda text: (text,)),
    "numeric": (":1", lambda text: (text,)),
    "named": (":jobkit", lambda text: {"jobkit": text}),
    "pyformat": ("%(jobkit)s", lambda text: {"jobkit": text}),
}


def _in_pg8000(connection: Any, statement: Statement) -> list[Any]:
    cursor = connection.cursor()
    style = getattr(cursor, "paramstyle", None) or sys.modules[type(cursor).__module__].paramstyle
    placeholder, values = _PLACEHOLDERS[style]
    try:
        cursor.execute(f"{statement.before}{placeholder}{statement.after}", values(statement.parameter))
        return _first(cursor.fetchall())
    finally:
        cursor.close()


def _in_psycopg(connection: Any, statement: Statement) -> list[Any]:
    import psycopg
    from psycopg.rows import tuple_row

    # Not connection.cursor(): the caller may have chosen another factory of cursors, with other placeholders.
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(f"{statement.before}%s{statement.after}".encode(), (statement.parameter,))
        return _first(cursor.fetchall())


_LONG = 10_000
"""Characters of a statement's text; ours have some hundreds, and whatever is longer carries data."""


def _in_sqlalchemy(connection: Any, statement: Statement) -> list[Any]:
    from sqlalchemy import text

    sql = f"{statement.before}:jobkit{statement.after}"
    # SQLAlchemy remembers what it has compiled. A statement that holds a body as a literal never comes again.
    options = {"compiled_cache": None} if len(sql) > _LONG else {}
    result = connection.execute(text(sql), {"jobkit": statement.parameter}, execution_options=options)
    return list(result.scalars().all())


def _first(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [row[0] for row in rows]


def _always(family: str) -> Callable[[Any], str]:
    return lambda connection: family


def _dialect_of(connection: Any) -> str:
    return str(connection.dialect.name)


def _dialect_of_session(session: Any) -> str:
    return str(session.get_bind().dialect.name)


def _kinds() -> Iterator[tuple[str, Kind]]:
    yield "sqlite3.Connection", Kind("sqlite3.Connection", _always(SQLITE), _in_sqlite3)
    yield "pg8000.native.Connection", Kind("pg8000.native.Connection", _always(POSTGRESQL), _in_pg8000_native)
    for module in ("pg8000.dbapi", "pg8000.legacy"):
        yield f"{module}.Connection", Kind("pg8000.dbapi.Connection", _always(POSTGRESQL), _in_pg8000)
    for module in ("psycopg", "psycopg.connection"):
        yield f"{module}.Connection", Kind("psycopg.Connection", _always(POSTGRESQL), _in_psycopg)
    yield "sqlalchemy.engine.base.Connection", Kind("sqlalchemy.Connection", _dialect_of, _in_sqlalchemy)
    for name in ("session.Session", "scoping.scoped_session"):
        yield f"sqlalchemy.orm.{name}", Kind("sqlalchemy.orm.Session", _dialect_of_session, _in_sqlalchemy)


_KINDS = dict(_kinds())

_ASYNCHRONOUS = {
    "asyncpg.connection.Connection": "asyncpg.Connection",
    "asyncpg.pool.PoolConnectionProxy": "asyncpg's pooled connection",
    "psycopg.AsyncConnection": "psycopg.AsyncConnection",
    "psycopg.connection_async.AsyncConnection": "psycopg.AsyncConnection",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": "sqlalchemy's AsyncConnection",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "sqlalchemy's AsyncSession",
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": "sqlalchemy's AsyncSession",
    "aiosqlite.core.Connection": "aiosqlite.Connection",
}
