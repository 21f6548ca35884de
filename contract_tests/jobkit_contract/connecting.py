"""
How a *user* of a transactional backend opens a connection of their own, by URL scheme and kind of connection.

This is the one place where the suite knows schemes, because no adapter opens connections for its users. A harness may
bring its own table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from jobkit.url import Url


class Connection(Protocol):
    """What the suite itself does with a user's connection; the statements go through `jobkit.connections`."""

    def commit(self) -> object: ...
    def rollback(self) -> object: ...
    def close(self) -> object: ...


Opener = Callable[[Url], Any]
"""Gives a `Connection` in which a transaction begins by itself, or has begun."""


def _sqlite3(url: Url) -> Any:
    import sqlite3

    return sqlite3.connect(url.path, timeout=20)


def _sqlite3_immediate(url: Url) -> Any:
    import sqlite3

    connection = sqlite3.connect(url.path, timeout=20, isolation_level=None)
    connection.execute("begin immediate")
    return connection


def _pg8000(url: Url) -> Any:
    import pg8000.dbapi

    names = {"user": url.username or "postgres", "password": url.password, "database": url.path or None}
    return pg8000.dbapi.connect(**names, host=url.host or "localhost", port=url.port or 5432)


def _psycopg(url: Url) -> Any:
    import psycopg

    return psycopg.connect(
        user=url.username, password=url.password, dbname=url.path or None, host=url.host, port=url.port or 5432
    )


def _sqlalchemy(driver: str) -> Opener:
    def opened(url: Url) -> Any:
        import sqlalchemy

        place = {"username": url.username, "password": url.password, "host": url.host, "port": url.port}
        target = sqlalchemy.URL.create(driver, database=url.path or None, **place)  # type: ignore[arg-type]
        return sqlalchemy.create_engine(target, poolclass=sqlalchemy.NullPool).connect()

    return opened


OPENERS: Mapping[str, Mapping[str, Opener]] = {
    "sqlite": {"sqlite3": _sqlite3, "sqlite3, begun": _sqlite3_immediate, "sqlalchemy": _sqlalchemy("sqlite")},
    "postgresql": {"pg8000": _pg8000, "psycopg": _psycopg, "sqlalchemy": _sqlalchemy("postgresql+pg8000")},
}

_CLIENTS = {"pg8000": "pg8000", "psycopg": "psycopg", "sqlalchemy": "sqlalchemy"}


def installed(kind: str) -> bool:
    """Whether the client library behind *kind* is here; the standard library and a third party's own kinds always are."""
    return kind not in _CLIENTS or find_spec(_CLIENTS[kind]) is not None
