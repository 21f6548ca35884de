"""The tables: made on first use, checked, moved on from an older version, removed."""

from __future__ import annotations

import sqlite3

import attrs

from jobkit.adapter import Change
from jobkit.errors import ConfigurationError
from jobkit.sqlite.boot import RowClock, rebase
from jobkit.sqlite.sql import prefix, script

VERSION = 1
TABLES = ("job", "record", "meta")


@attrs.frozen
class Found:
    """What a file holds of a namespace: the tables' version (None: no tables), and the boot its instants belong to."""

    version: int | None
    boot: str = ""


def look(connection: sqlite3.Connection, namespace: str) -> Found:
    """Read-only, so that opening a file that is in order needs no write lock."""
    table = f"{prefix(namespace)}_meta"
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
        return Found(None)
    rows = connection.execute(f"SELECT version, boot FROM {table}").fetchall()
    return Found(*rows[0]) if rows else Found(None)


def refuse_newer(found: Found, path: str) -> None:
    if found.version is not None and found.version > VERSION:
        raise ConfigurationError(
            f"{path} holds tables of version {found.version}, made by a newer jobkit; this one knows version {VERSION}"
        )


def prepare(connection: sqlite3.Connection, namespace: str, clock: RowClock) -> list[Change]:
    """
    Make the tables unless they are there, and bring their instants into this boot. Runs in a write transaction, so of
    several processes that open a new file at once one does it all, and the others find it done.
    """
    found = look(connection, namespace)
    changes = []
    if found.version is None:
        _create(connection, namespace, clock)
        changes.append(Change(f"created the tables {prefix(namespace)}_* (version {VERSION})"))
    rebase(connection, namespace, clock)
    return changes


def _create(connection: sqlite3.Connection, namespace: str, clock: RowClock) -> None:
    for statement in script("schema", namespace):
        connection.execute(statement)
    connection.execute(
        f"INSERT OR IGNORE INTO {prefix(namespace)}_meta (one, version, boot, steady, wall) VALUES (1, ?, ?, ?, ?)",
        (VERSION, clock.boot, clock.now(), clock.wall()),
    )


def drop(connection: sqlite3.Connection, namespace: str) -> None:
    """Runs in a write transaction."""
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {prefix(namespace)}_{table}")
