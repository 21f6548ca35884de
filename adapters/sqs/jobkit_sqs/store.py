"""The store: records in one DynamoDB table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.errors import Closed, Unavailable
from jobkit.store import Key, Record, StoreCapabilities, Write, Written, check_keys, check_writes
from jobkit_sqs import items
from jobkit_sqs.failures import Missing, missing
from jobkit_sqs.options import Target
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.service import Service, Wrap
from jobkit_sqs.writing import Writing

CAPABILITIES = StoreCapabilities(name="dynamodb", durable=True, shared=True, transactional=False, max_value=items.MAX_VALUE)

MOST_KEYS = 100
"""What BatchGetItem takes."""


class DynamoStore:
    """One holder's handle on the records of one namespace. Safe for several threads."""

    capabilities = CAPABILITIES

    def __init__(self, target: Target, clock: Clock = SYSTEM_CLOCK, wrap: Wrap | None = None) -> None:
        self._target = target
        self._clock = clock
        self._closed = False
        self._seen = False
        self._service = Service(target, "dynamodb", clock, connections=target.options.parallel + 10, wrap=wrap)
        self._parallel = Parallel(target.options.parallel)
        self._writing = Writing(self._service, self._parallel)

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        check_keys(keys)
        self._ready()
        unique = list(dict.fromkeys(keys))
        pieces = [unique[start : start + MOST_KEYS] for start in range(0, len(unique), MOST_KEYS)]
        found = {key: record for piece in self._parallel.all(self._read, pieces) for key, record in piece.items()}
        return [found.get(key) for key in keys]

    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        self._ready()
        return self._writing.put(writes)

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        check_keys([Key(collection, after or "-")])
        self._ready()
        found: list[tuple[str, Record]] = []
        for page in self._pages(collection, after, limit, reverse):
            now = self._service.server_clock.now()
            for one in page["Items"]:
                if (record := items.record(one, now)) is not None and len(found) < limit:
                    found.append((one["name"]["S"], record))
            if len(found) >= limit:
                break
        return found

    def count(self, collection: str, *, limit: int) -> int:
        check_keys([Key(collection, "-")])
        self._ready()
        counted = 0
        for page in self._pages(collection, "", limit, reverse=False, Select="COUNT"):
            counted += int(page["Count"])
            if counted >= limit:
                return limit
        return counted

    def now(self) -> datetime:
        self._ready()
        if not self._service.server_clock.is_fresh:
            self._read_layout()
        return datetime.fromtimestamp(self._service.server_clock.now(), UTC)

    def close(self) -> None:
        self._closed = True
        self._parallel.close()
        self._service.close()

    def _ready(self) -> None:
        """Raises `Closed`; meets the table at the first call, which tells what DynamoDB's clock says, too."""
        if self._closed:
            raise Closed(f"{self._target.masked}: used after close")
        if not self._seen:
            self._read_layout()
            self._seen = True

    def _read_layout(self) -> None:
        layout = read_layout(self._service)
        if layout != items.LAYOUT:
            why = f"table {self._target.table} has layout {layout}, and this jobkit needs {items.LAYOUT}"
            raise missing(self._target, f"{why}: upgrade jobkit-sqs" if layout > items.LAYOUT else why)

    def _read(self, keys: Sequence[Key]) -> Mapping[Key, Record | None]:
        """At most `MOST_KEYS`. DynamoDB answers with 16 MB at a time and names the keys that are left."""
        end = self._clock.steady() + self._target.options.timeout
        asked: Mapping[str, Any] = {self._target.table: {"Keys": [items.key(key) for key in keys], "ConsistentRead": True}}
        found: list[Mapping[str, Any]] = []
        while asked:
            reply = self._service.call("batch_get_item", RequestItems=asked)
            new = reply["Responses"].get(self._target.table, [])
            found += new
            asked = reply.get("UnprocessedKeys", {})
            if asked and (not new or self._clock.steady() > end):
                raise Unavailable(f"{self._target.masked}: DynamoDB answers only for some of the keys")
        now = self._service.server_clock.now()
        return {Key(one["collection"]["S"], one["name"]["S"]): items.record(one, now) for one in found}

    def _pages(self, collection: str, after: str, limit: int, reverse: bool, **more: Any) -> Iterable[Mapping[str, Any]]:
        """Pages of what lives in *collection*; there may be more in them than *limit*, and empty ones."""
        end = self._clock.steady() + self._target.options.timeout
        query = self._query(collection, after, limit, reverse) | more
        while limit > 0:
            page = self._service.call("query", **query)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
            if self._clock.steady() > end:
                raise Unavailable(f"{self._target.masked}: collection {collection!r} took longer than the timeout")

    def _query(self, collection: str, after: str, limit: int, reverse: bool) -> dict[str, Any]:
        where, values = "#collection = :collection", {":collection": {"S": collection}}
        if after:
            where += f" AND #name {'<' if reverse else '>'} :after"
            values[":after"] = {"S": after}
        text = f"{where} {items.LIVES}"
        return {
            "TableName": self._target.table,
            "KeyConditionExpression": where,
            "FilterExpression": items.LIVES,
            "ExpressionAttributeNames": {name: real for name, real in items.NAMES.items() if name in text},
            "ExpressionAttributeValues": {**values, ":now": items.number(self._service.server_clock.now())},
            "ScanIndexForward": not reverse,
            "ConsistentRead": True,
            "Limit": limit,
        }


def read_layout(service: Service) -> int:
    """
    The version of the table.

    Raises:
        SetupRequired: There is none.
    """
    target = service.target
    try:
        found = service.call("get_item", TableName=target.table, Key=items.META_KEY, ConsistentRead=True).get("Item")
    except Missing as error:
        raise missing(target, f"there is no table {target.table}") from error
    if not found:
        raise missing(target, f"the table {target.table} is not set up")
    return int(found["version"]["N"])
