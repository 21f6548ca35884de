"""
How a *user* of a transactional backend opens a connection of their own, by URL scheme and kind of connection.

This is the one place where the suite knows schemes, because no adapter opens connections for its users. A harness may
bring its own table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from jobkit.url import Url

Opener = Callable[[Url], Any]
"""Gives a DB-API connection (or a SQLAlchemy one) with a transaction that begins by itself."""


def _sqlite3(url: Url) -> Any:
    import sqlite3

    # Python 3.11 begins a transaction before a data change only; this way the whole exchange is one.
    connection = sqlite3.connect(url.path, timeout=20, isolation_level=None, check_same_thread=False)
    connection.execute("begin immediate")
    return connection


def _pg8000(url: Url) -> Any:
    import pg8000.dbapi

    names = {"user": url.username or "postgres", "password": url.password, "database": url.path or None}
    return pg8000.dbapi.connect(**names, host=url.host or "localhost", port=url.port or 5432)


def _psycopg(url: Url) -> Any:
    import psycopg

    names = {"user": url.username, "password": url.password, "dbname": url.path or None}
    return psycopg.connect(**names, host=url.host or "localhost", port=url.port or 5432)  # type: ignore[arg-type]


OPENERS: Mapping[str, Mapping[str, Opener]] = {
    "sqlite": {"sqlite3": _sqlite3},
    "postgresql": {"pg8000": _pg8000, "psycopg": _psycopg},
}

_CLIENTS = {"sqlite3": "sqlite3", "pg8000": "pg8000", "psycopg": "psycopg"}


def installed(kind: str) -> bool:
    """Whether the client library behind *kind* is here; kinds of a third party's own always are."""
    return find_spec(_CLIENTS.get(kind, "jobkit")) is not None
