"""Faults of stores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.memory import MemoryStore
from jobkit.store import Expect, Key, Record, Write, Written, check_writes
from jobkit.transport import Answer
from jobkit_contract.mutants.bank import fault


@fault("compares first and writes later", "STO-1")
class ReadThenWrite(MemoryStore):
    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        found = self.get([write.key for write in writes])
        time.sleep(0.002)
        answers = []
        for write, record in zip(writes, found, strict=True):
            there = record.version if record else Expect.ABSENT
            holds = write.expect in (Expect.ANY, there)
            answers += super().put([attrs.evolve(write, expect=Expect.ANY)]) if holds else [Written(Answer.LOST)]
        return answers


@fault("takes an absent record for any version", "STO-2")
class AbsentMatches(MemoryStore):
    def _write(self, write: Write) -> Written:
        if isinstance(write.expect, str) and self._row(write.key) is None:
            write = attrs.evolve(write, expect=Expect.ANY)
        return super()._write(write)


@fault("gives a new version at a lost compare", "STO-2")
class TouchesAtLost(MemoryStore):
    def _write(self, write: Write) -> Written:
        answer = super()._write(write)
        row = self._row(write.key)
        if answer.answer is Answer.LOST and row is not None:
            row.version = str(next(self._versions))
        return answer


@fault("fails a whole put for one lost compare", "STO-2")
class PutAllOrNothing(MemoryStore):
    def put(self, writes: Sequence[Write]) -> list[Written]:
        answers = super().put(writes)
        if any(answer.answer is Answer.LOST for answer in answers):
            return [Written(Answer.LOST) for _ in writes]
        return answers


@fault("writes half of a refused put", "STO-2")
class WritesHalf(MemoryStore):
    def put(self, writes: Sequence[Write]) -> list[Written]:
        return [answer for write in writes for answer in super(WritesHalf, self).put([write])]


@fault("lists expired records", "STO-3")
class ListsExpired(MemoryStore):
    def scan(self, collection: str, **rest: Any) -> list[tuple[str, Record]]:
        self._row = lambda key: self._rows.get(key)  # type: ignore[method-assign]
        try:
            return super().scan(collection, **rest)
        finally:
            del self._row


@fault("never expires anything", "STO-3")
class NeverExpires(MemoryStore):
    def _write(self, write: Write) -> Written:
        return super()._write(attrs.evolve(write, ttl=None))


@fault("keeps the first expiry", "STO-3")
class KeepsExpiry(MemoryStore):
    def _write(self, write: Write) -> Written:
        before = self._row(write.key)
        expires = before.expires if before else None
        answer = super()._write(write)
        row = self._rows.get(write.key)
        if before and row and expires is not None:
            row.expires = expires
        return answer


@fault("takes an expired record for present", "STO-3")
class ExpiredIsPresent(MemoryStore):
    def _write(self, write: Write) -> Written:
        row = self._rows.get(write.key)
        if row and self._row(write.key) is None and write.expect is Expect.ABSENT:
            return Written(Answer.LOST)
        return super()._write(write)


@fault("numbers versions per record", "STO-3")
class VersionsPerRecord(MemoryStore):
    def _write(self, write: Write) -> Written:
        before = self._row(write.key)
        answer = super()._write(write)
        row = self._rows.get(write.key)
        if answer.answer is Answer.YES and row:
            row.version = str(int(before.version) + 1 if before else 1)
            return Written(Answer.YES, row.version)
        return answer


@fault("takes the value's hash for a version", "STO-3")
class HashIsVersion(MemoryStore):
    def _write(self, write: Write) -> Written:
        answer = super()._write(write)
        row = self._rows.get(write.key)
        if answer.answer is Answer.YES and row:
            row.version = str(hash(row.value))
            return Written(Answer.YES, row.version)
        return answer


@fault("pages by position", "STO-4")
class PagesByPosition(MemoryStore):
    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._at: dict[tuple[str, str, bool], int] = {}

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        start = self._at.get((collection, after, reverse), 0) if after else 0
        if after and not start:
            return super().scan(collection, after=after, limit=limit, reverse=reverse)
        page = super().scan(collection, limit=start + limit, reverse=reverse)[start:]
        if page:
            self._at[collection, page[-1][0], reverse] = start + len(page)
        return page


class Sorts(MemoryStore):
    """Sorts names in an order of its own."""

    def order(self, name: bytes) -> Any:
        return name

    def _names_beyond(self, collection: str, after: bytes, reverse: bool) -> list[bytes]:
        names = sorted(self._names.get(collection, []), key=self.order, reverse=reverse)
        if not after:
            return names
        edge = self.order(after)
        return [name for name in names if (self.order(name) < edge if reverse else self.order(name) > edge)]


@fault("sorts names as UTF-16", "STO-4")
class SortsAsUtf16(Sorts):
    def order(self, name: bytes) -> Any:
        return name.decode().encode("utf-16-be", "surrogatepass")


@fault("sorts names as a language does", "STO-4")
class SortsAsLanguage(Sorts):
    def order(self, name: bytes) -> Any:
        return name.decode().casefold(), name


@fault("repeats the name that a scan started after", "STO-4")
class RepeatsAfter(MemoryStore):
    def _names_beyond(self, collection: str, after: bytes, reverse: bool) -> list[bytes]:
        names = super()._names_beyond(collection, after, reverse)
        return [after, *names] if after in self._names.get(collection, []) and reverse and len(names) == 1 else names


@fault("counts beyond the limit", "STO-4")
class CountsBeyond(MemoryStore):
    def count(self, collection: str, *, limit: int) -> int:
        return super().count(collection, limit=10**9)


@fault("keeps values as text", "STO-5")
class ValuesAsText(MemoryStore):
    def _write(self, write: Write) -> Written:
        if write.value is not None:
            write = attrs.evolve(write, value=write.value.decode(errors="replace").encode())
        return super()._write(write)


@fault("takes an empty value for none", "STO-5")
class EmptyIsNone(MemoryStore):
    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        return [record if record and record.value else None for record in super().get(keys)]


@fault("trims names", "STO-4")
class TrimsNames(MemoryStore):
    def put(self, writes: Sequence[Write]) -> list[Written]:
        check_writes(writes, self.capabilities)
        with self._lock:
            self._check_open()
            return [
                self._write(attrs.evolve(write, key=Key(write.key.collection, write.key.name.rstrip(" ") or "-")))
                for write in writes
            ]


@fault("finds collections by pattern", "STO-5")
class CollectionsByPattern(MemoryStore):
    def count(self, collection: str, *, limit: int) -> int:
        alike = [name for name in self._names if len(name) == len(collection) and _like(name, collection)]
        return min(limit, sum(super(CollectionsByPattern, self).count(name, limit=limit) for name in alike))


def _like(name: str, pattern: str) -> bool:
    return all(mark in ("_", char) for char, mark in zip(name, pattern, strict=True))


@fault("joins collection and name", "STO-5")
class JoinsKeys(MemoryStore):
    def _row(self, key: Key) -> Any:
        text = key.collection + key.name
        alike = next((each for each in self._rows if each.collection + each.name == text), key)
        return super()._row(alike)


@fault("answers reads in another order", "STO-2")
class ReadsDisordered(MemoryStore):
    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        return sorted(super().get(keys), key=lambda record: record is None)


@fault("has a naive clock", "STO-5")
class NaiveClock(MemoryStore):
    def now(self) -> Any:
        return super().now().replace(tzinfo=None)
