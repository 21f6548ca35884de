"""
The control plane's line: small versioned records in ordered collections, with compare-and-set and expiry.

All that must mean the same on every backend, and that brokers disagree about, is built once in the core on these seven
methods: dead letters, long delays, tracked jobs, progress, heartbeats, leadership.

Units: durations are float seconds, sizes are bytes, instants are aware UTC on the store's own clock.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import attrs

from jobkit.errors import TooLarge
from jobkit.transport import Answer

COLLECTION_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
RECORD_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,256}")
"""Any text of 1 to 256 characters without control characters. Names are ordered by their UTF-8 bytes."""


class Key(NamedTuple):
    """Where a record lies: its collection (`COLLECTION_NAME`) and its name in there (`RECORD_NAME`)."""

    collection: str
    name: str


@attrs.frozen
class Record:
    """
    One stored value.

    Attributes:
        version: Opaque. Changes with every write and never recurs for a name, even after a delete.
    """

    value: bytes = attrs.field(repr=False)
    version: str


class Expect(enum.Enum):
    """What a write may require besides a version."""

    ANY = "any"
    """Write whatever is there."""
    ABSENT = "absent"
    """Write only if there is no record; an expired one counts as none."""


@attrs.frozen
class Write:
    """
    One conditional write.

    Attributes:
        value: At most `StoreCapabilities.max_value` bytes; None deletes, and is YES too where there was nothing.
        expect: A version that the record must still have, or `Expect`.
        ttl: Seconds until the record expires; None keeps it. Every write sets it anew.
    """

    key: Key
    value: bytes | None = attrs.field(repr=False)
    expect: str | Expect = Expect.ANY
    ttl: float | None = None


@attrs.frozen
class Written:
    """
    The answer to one write: YES, LOST (the compare failed, nothing changed), FAILED or UNKNOWN.

    Attributes:
        version: The record's new version after a YES that wrote a value.
    """

    answer: Answer
    version: str | None = None
    reason: str = ""


@attrs.frozen(kw_only=True)
class StoreCapabilities:
    """
    What this store promises.

    Attributes:
        name: For people and telemetry, such as ``postgresql``.
        durable: What was answered YES survives a restart.
        shared: Other processes and hosts see the same records.
        transactional: Writes can join the caller's own SQL transaction (`jobkit.transactional.Transactional`).
        max_value: The largest value.
        count_lag: Expired records may still be counted by `Store.count` for this long. get and scan never show one.
    """

    name: str
    durable: bool
    shared: bool
    transactional: bool
    max_value: int
    count_lag: float = 0.0


class Store(Protocol):
    """
    One database of records, as the core sees it.

    Any method may be called from several threads at once, and every call ends within the adapter's request timeout.
    Adapters neither retry, log nor sleep. `Unavailable` says that the store was not reached and nothing changed, and the
    next call connects anew; `Closed` follows `close`; `SetupRequired` says that tables are missing.
    """

    @property
    def capabilities(self) -> StoreCapabilities:
        """What this store promises. Constant, and known without I/O."""

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        """The records at *keys*, in order; None where there is none, or an expired one."""

    def put(self, writes: Sequence[Write]) -> list[Written]:
        """
        Carry out each write on its own, one answer per write, in order; durable before the answer.

        Of several writers that expect the same version, exactly one gets YES. A batch is no transaction: each write
        stands alone. After UNKNOWN the writer reads the record and looks for its own value.

        Raises:
            TooLarge: A value exceeds `max_value`; nothing was written.
            ValueError: A name is out of bounds, or a key stands twice in *writes*; nothing was written.
        """

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        """
        Up to *limit* records of *collection* by name, from the first name beyond *after* (below it, if *reverse*).

        An empty *after* starts at the first (last) name. A record that stands there throughout is never left out.
        """

    def count(self, collection: str, *, limit: int) -> int:
        """How many records *collection* holds, counted up to *limit*."""

    def now(self) -> datetime:
        """The store's own clock, which decides all instants in records."""

    def close(self) -> None:
        """Release what is held. May be called again."""


def check_keys(keys: Sequence[Key]) -> None:
    """The checks that every store owes before any I/O."""
    for collection, name in keys:
        if not COLLECTION_NAME.fullmatch(collection):
            raise ValueError(f"collection {collection!r}: allowed is a-z, then up to 39 of a-z, 0-9 and '_'")
        if not RECORD_NAME.fullmatch(name):
            raise ValueError(f"record name {name!r}: allowed are 1 to 256 characters, none of them a control character")


def check_writes(writes: Sequence[Write], capabilities: StoreCapabilities) -> None:
    """The further checks that every store owes before it writes."""
    keys = [write.key for write in writes]
    check_keys(keys)
    if len(set(keys)) != len(keys):
        raise ValueError("a key stands twice in one put: the order of two writes to it would be undefined")
    for write in writes:
        if write.value is not None and len(write.value) > capabilities.max_value:
            raise TooLarge(f"value of {len(write.value)} bytes: {capabilities.name} takes {capabilities.max_value} at most")
