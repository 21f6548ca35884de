"""The store: each collection a hash of values and an ordered set of names."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from jobkit.errors import JobKitError
from jobkit.store import Expect, Key, Record, StoreCapabilities, Write, Written, check_keys, check_writes
from jobkit.transport import Answer
from jobkit_redis.answers import spread
from jobkit_redis.messages import Word, microseconds
from jobkit_redis.options import NOT, Target
from jobkit_redis.requests import Request, chunks, run
from jobkit_redis.scripts import COUNT, GET, PUT, SCAN, Script
from jobkit_redis.server import Server
from jobkit_redis.wire import Reply

LOST = Written(Answer.LOST)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def capabilities(target: Target) -> StoreCapabilities:
    return StoreCapabilities(
        name="redis",
        durable=target.options.durable != NOT,
        shared=True,
        transactional=False,
        max_value=16 * 1024 * 1024,
    )


class RedisStore:
    """One holder's handle on the records of one namespace. Safe for several threads."""

    def __init__(self, target: Target) -> None:
        self.capabilities = capabilities(target)
        self._server = Server(target)

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        check_keys(keys)
        by_collection: defaultdict[str, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            by_collection[key.collection].append(number)
        requests = [self._run(GET, name, *(keys[n].name for n in those)) for name, those in by_collection.items()]
        records: list[Record | None] = [None] * len(keys)
        for those, reply in zip(by_collection.values(), self._server.ask(requests), strict=True):
            for number, record in zip(those, _records(reply), strict=True):
                records[number] = record
        return records

    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        versions = _new_versions(writes)
        by_collection: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, write in enumerate(writes):
            by_collection[write.key.collection].append((len(write.value or b""), number))
        places, requests = [], []
        for collection, items in by_collection.items():
            for chunk in chunks(items):
                words = [word for number in chunk for word in _words(writes[number], versions[number])]
                places.append(chunk)
                requests.append(self._run(PUT, collection, *words))
        held = spread(places, self._server.ask(requests), _held, _unwritten)
        return [_written(held[number], versions[number]) for number in range(len(writes))]

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        check_keys([Key(collection, after or "-")])
        reply = self._server.one(self._run(SCAN, collection, "backwards" if reverse else "forwards", after, limit))
        thirds = zip(reply[0::3], reply[1::3], reply[2::3], strict=True)
        return [(name.decode(), Record(value, version.decode())) for name, version, value in thirds]

    def count(self, collection: str, *, limit: int) -> int:
        check_keys([Key(collection, "-")])
        return int(self._server.one(self._run(COUNT, collection, limit)))

    def now(self) -> datetime:
        seconds, microseconds = self._server.one(Request(self._server.keys.layout, ("TIME",)))
        return _EPOCH + timedelta(seconds=int(seconds), microseconds=int(microseconds))

    def close(self) -> None:
        self._server.close()

    def _run(self, script: Script, collection: str, *words: Word) -> Request:
        return run(script, self._server.keys.of_collection(collection), *words)


def _new_versions(writes: Sequence[Write]) -> list[str]:
    """One for each write, empty for a delete. Random ones never recur, whatever a failover makes the server forget."""
    batch = secrets.token_hex(8)
    return ["" if write.value is None else f"{batch}{number:x}" for number, write in enumerate(writes)]


def _words(write: Write, version: str) -> list[Word]:
    expect = write.expect.value if isinstance(write.expect, Expect) else "version"
    expected = write.expect if isinstance(write.expect, str) else ""
    ttl = "" if write.ttl is None else max(0, microseconds(write.ttl))
    return [write.key.name, expect, expected, version, ttl, bytes(write.value or b"")]


def _records(reply: Reply | JobKitError) -> list[Record | None]:
    if isinstance(reply, JobKitError):
        raise reply
    pairs = zip(reply[0::2], reply[1::2], strict=True)
    return [None if version is None else Record(value, version.decode()) for version, value in pairs]


def _held(reply: Sequence[int]) -> list[Written]:
    return [Written(Answer.YES) if each else LOST for each in reply]


def _written(answer: Written, version: str) -> Written:
    """*answer* with the version that was made for it."""
    return Written(Answer.YES, version or None) if answer.answer is Answer.YES else answer


def _unwritten(reason: str) -> Written:
    return Written(Answer.UNKNOWN, reason=reason)
