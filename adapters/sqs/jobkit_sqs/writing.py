"""Writing records: those without a condition by the two dozen, the others one by one, all side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobkit.errors import JobKitError, Rejected
from jobkit.store import Expect, Write, Written
from jobkit.transport import Answer
from jobkit_sqs import items
from jobkit_sqs.failures import ReplyLost, is_code
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.service import Service

MOST_WRITES = 25
"""What BatchWriteItem takes."""

Piece = list[int]


class Writing:
    """Writes for one handle. Safe for several threads."""

    def __init__(self, service: Service, parallel: Parallel) -> None:
        self._service = service
        self._parallel = parallel
        self._table = service.target.table

    def put(self, writes: Sequence[Write]) -> list[Written]:
        """
        One answer for each write; see `jobkit.store.Store.put`.

        Raises:
            Unavailable, SetupRequired, ConfigurationError: Nothing was written.
        """
        pieces = _pieces(writes)
        given = self._parallel.each(lambda piece: self._write([writes[place] for place in piece]), pieces)
        errors = [one for one in given if isinstance(one, JobKitError) and not isinstance(one, ReplyLost | Rejected)]
        if errors and len(errors) == len(given):
            raise errors[0]
        answers: dict[int, Written] = {}
        for piece, result in zip(pieces, given, strict=True):
            each = [_failed(result)] * len(piece) if isinstance(result, JobKitError) else result
            answers.update(zip(piece, each, strict=True))
        return [answers[place] for place in range(len(writes))]

    def _write(self, writes: Sequence[Write]) -> list[Written]:
        if len(writes) > 1:
            return self._write_together(writes)
        return [self._write_one(writes[0])]

    def _write_one(self, write: Write) -> Written:
        now, version = self._service.server_clock.now(), items.new_version()
        where = {"TableName": self._table, **items.condition(write.expect, now)}
        try:
            if write.value is None:
                self._service.call("delete_item", Key=items.key(write.key), **where)
                return Written(Answer.YES)
            self._service.call("put_item", Item=items.item(write, version, now), **where)
        except Rejected as error:
            if is_code(error, "ConditionalCheckFailedException"):
                return Written(Answer.LOST)
            raise
        return Written(Answer.YES, version)

    def _write_together(self, writes: Sequence[Write]) -> list[Written]:
        """Writes without conditions. What DynamoDB had no capacity for is UNKNOWN to the core, which repeats it."""
        now = self._service.server_clock.now()
        versions = [None if write.value is None else items.new_version() for write in writes]
        requests = [_request(write, version, now) for write, version in zip(writes, versions, strict=True)]
        reply = self._service.call("batch_write_item", RequestItems={self._table: requests})
        left = [_key_of(request) for request in reply.get("UnprocessedItems", {}).get(self._table, ())]
        return [
            Written(Answer.UNKNOWN, reason="DynamoDB was too busy for it")
            if items.key(write.key) in left
            else Written(Answer.YES, version)
            for write, version in zip(writes, versions, strict=True)
        ]


def _pieces(writes: Sequence[Write]) -> list[Piece]:
    free = [place for place, write in enumerate(writes) if write.expect is Expect.ANY]
    bound = [[place] for place, write in enumerate(writes) if write.expect is not Expect.ANY]
    return [*bound, *(free[start : start + MOST_WRITES] for start in range(0, len(free), MOST_WRITES))]


def _request(write: Write, version: str | None, now: float) -> dict[str, Any]:
    if version is None:
        return {"DeleteRequest": {"Key": items.key(write.key)}}
    return {"PutRequest": {"Item": items.item(write, version, now)}}


def _key_of(request: dict[str, Any]) -> dict[str, Any]:
    whole = request["DeleteRequest"]["Key"] if "DeleteRequest" in request else request["PutRequest"]["Item"]
    return {name: whole[name] for name in ("collection", "name")}


def _failed(error: JobKitError) -> Written:
    return Written(Answer.FAILED if isinstance(error, Rejected) else Answer.UNKNOWN, reason=str(error))
