"""The same work with the driver alone: claim 100 rows, delete 100 rows, until none is left. Rows per second."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobkit.clock import steady
from jobkit.url import Url

BODY = b'{"v":1,"id":"01a20d08-d404-7d02-bfa6-2816df5b136f","type":"noop","queue":"default","args":{"number":1}}'


def drain(url: Url, rows: int) -> float | None:
    """Rows per second; None for a backend without a driver to compare with."""
    loop = {"sqlite": _sqlite, "postgresql": _postgres, "postgres": _postgres}.get(url.scheme)
    return None if loop is None else loop(url, rows)


def _rate(rows: int, batch: Callable[[], int]) -> float:
    began, done = steady(), 0
    while count := batch():
        done += count
    assert done == rows
    return rows / (steady() - began)


def _sqlite(_: Url, rows: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, taken INTEGER NOT NULL DEFAULT 0, body BLOB);"
            "CREATE INDEX job_free ON job (id) WHERE taken = 0;"
        )
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO job (body) VALUES (?)", [(BODY,)] * rows)
        connection.execute("COMMIT")

        def batch() -> int:
            found = connection.execute(
                "UPDATE job SET taken = 1 WHERE id IN (SELECT id FROM job WHERE taken = 0 ORDER BY id LIMIT 100)"
                " RETURNING id, body"
            ).fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM job WHERE id = ?", [(row[0],) for row in found])
            connection.execute("COMMIT")
            return len(found)

        try:
            return _rate(rows, batch)
        finally:
            connection.close()


def _postgres(url: Url, rows: int) -> float:
    import pg8000.native

    connection = pg8000.native.Connection(
        url.username or "postgres",
        host=url.host or "localhost",
        port=url.port or 5432,
        password=url.password,
        database=url.path or None,
    )
    table = f"jobkit_raw_{secrets.token_hex(4)}"
    try:
        connection.run(f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, taken bool, body bytea)")
        connection.run(f"CREATE INDEX ON {table} (id) WHERE NOT taken")
        insert = f"INSERT INTO {table} (taken, body) SELECT false, CAST(:body AS bytea) FROM generate_series(1, :rows)"
        connection.run(insert, body=BODY, rows=rows)
        return _rate(rows, _postgres_batch(connection, table))
    finally:
        connection.run(f"DROP TABLE IF EXISTS {table}")
        connection.close()


def _postgres_batch(connection: Any, table: str) -> Callable[[], int]:
    claim = connection.prepare(
        f"UPDATE {table} SET taken = true WHERE id = ANY(ARRAY("
        f"SELECT id FROM {table} WHERE NOT taken ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)) RETURNING id, body"
    )
    delete = connection.prepare(f"DELETE FROM {table} WHERE id = ANY(CAST(:ids AS bigint[]))")

    def batch() -> int:
        found = claim.run()
        if found:
            delete.run(ids=[row[0] for row in found])
        return len(found)

    return batch
