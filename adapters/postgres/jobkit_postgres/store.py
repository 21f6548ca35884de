"""The store: records beside the jobs, in the same schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from jobkit.store import Key, Record, StoreCapabilities, Write, Written, check_keys, check_writes
from jobkit.transport import Answer
from jobkit_postgres import wire
from jobkit_postgres.options import Target
from jobkit_postgres.pieces import ask
from jobkit_postgres.pool import Pool

CAPABILITIES = StoreCapabilities(
    name="postgresql", durable=True, shared=True, transactional=True, max_value=16 * 1024 * 1024
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PostgresStore:
    """One holder's handle on the records of one namespace. Safe for several threads."""

    capabilities = CAPABILITIES

    def __init__(self, target: Target) -> None:
        self._schema = target.schema
        self._pool = Pool(target)

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        check_keys(keys)
        self._pool.check_open()
        records: list[Record | None] = [None] * len(keys)
        if keys:
            sql = f"select place, version, value from {self._schema}.records_at(cast(:keys as jsonb))"
            for place, version, value in self._pool.run(sql, keys=json.dumps(keys)):
                records[place] = Record(bytes.fromhex(value), version)
        return records

    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        self._pool.check_open()
        return ask(writes, wire.encode_writes, self._put_piece, _unwritten)

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        check_keys([Key(collection, after or "-")])
        sql = f"select name, version, value from {self._schema}.scan(:collection, :after, :most, :backwards)"
        rows = self._pool.run(sql, collection=collection, after=after, most=limit, backwards=reverse)
        return [(name, Record(bytes.fromhex(value), version)) for name, version, value in rows]

    def count(self, collection: str, *, limit: int) -> int:
        check_keys([Key(collection, "-")])
        sql = f"select {self._schema}.count_records(:collection, :most)"
        return int(self._pool.run(sql, collection=collection, most=limit)[0][0])

    def now(self) -> datetime:
        ((microseconds,),) = self._pool.run(f"select {self._schema}.now_in_microseconds()")
        return _EPOCH + timedelta(microseconds=int(microseconds))

    def close(self) -> None:
        self._pool.close()

    def _put_piece(self, piece: Sequence[Write], text: str) -> list[Written]:
        sql = f"select {self._schema}.put(cast(:writes as jsonb)), {self._schema}.sweep(:most)"
        ((answer, _),) = self._pool.run(sql, writes=text, most=2 * len(piece))
        return wire.read_written(answer, len(piece))


def _unwritten(reason: str) -> Written:
    return Written(Answer.UNKNOWN, reason=reason)
