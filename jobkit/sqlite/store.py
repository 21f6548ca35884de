"""The store: records in the same file and namespace as the jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from jobkit.errors import Closed
from jobkit.sqlite import writes as conditional
from jobkit.sqlite.database import Database
from jobkit.sqlite.sql import statements
from jobkit.sqlite.writes import CAPABILITIES
from jobkit.store import Key, Record, Write, Written, check_keys, check_writes


class SqliteStore:
    """Records in one namespace of one file, shared by the processes of one host."""

    capabilities = CAPABILITIES

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = database.clock
        self._sql = statements("records", database.namespace)

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        check_keys(keys)
        return self._database.read(lambda connection: [self._get(connection, key) for key in keys])

    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        self._check_open()
        return self._database.write(lambda connection: self._put(connection, writes)) if writes else []

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        check_keys([Key(collection, after or "-")])
        # To SQLite every blob is greater than every text: the empty one is a bound beyond the last name.
        bound = after or (b"" if reverse else "")
        sql = self._sql["backward" if reverse else "forward"]
        values = (collection, bound, self._clock.now(), limit)
        rows = self._database.read(lambda connection: connection.execute(sql, values).fetchall())
        return [(name, Record(value, version)) for name, value, version in rows]

    def count(self, collection: str, *, limit: int) -> int:
        check_keys([Key(collection, "-")])
        values = (collection, self._clock.now(), limit)
        rows = self._database.read(lambda connection: connection.execute(self._sql["count"], values).fetchall())
        return int(rows[0][0])

    def now(self) -> datetime:
        return self._clock.clock.now()

    def close(self) -> None:
        self._database.close()

    def _check_open(self) -> None:
        if self._database.closed:
            raise Closed("this sqlite store is closed")

    def _get(self, connection: sqlite3.Connection, key: Key) -> Record | None:
        rows = connection.execute(self._sql["get"], (*key, self._clock.now())).fetchall()
        return Record(*rows[0]) if rows else None

    def _put(self, connection: sqlite3.Connection, writes: Sequence[Write]) -> list[Written]:
        now = self._clock.now()
        connection.execute(self._sql["sweep"], (now,))
        answers = []
        for write in writes:
            operation = conditional.operation(write, self._database.namespace, now)
            sql = operation.sql.replace("{json}", "?1").replace("{body}", "?2")
            values = (operation.json(), write.value)[: 1 + (write.value is not None)]
            answers.append(operation.read([text for (text,) in connection.execute(sql, values).fetchall()]))
        return answers
