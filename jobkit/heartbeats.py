"""What each worker process says of itself in the store, every few seconds: who it is, what it runs, what it has done."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jobkit import records
from jobkit.store import Key, Store, Write

EVERY = 10.0
"""Seconds between two reports."""

SOON = 1.0
"""Seconds between two reports while jobs end."""

TTL = 45.0
"""Seconds after which a worker that was not heard of is forgotten."""


class TypeCounts(msgspec.Struct):
    """
    What one process has done with the jobs of one type since it started.

    Attributes:
        ran: Runs that ended, whatever their outcome.
        seconds: Their durations added up.
        longest: The longest of them, in seconds.
    """

    done: int = 0
    retried: int = 0
    dead: int = 0
    snoozed: int = 0
    discarded: int = 0
    expired: int = 0
    lost: int = 0
    ran: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. Instants are aware UTC, on the store's clock."""

    id: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    started_at: datetime
    reported_at: datetime
    running: int
    waiting: int
    types: dict[str, TypeCounts]


_DECODER = msgspec.json.Decoder(WorkerReport)


def write(report: WorkerReport) -> Write:
    """The write that publishes *report*."""
    return Write(Key(records.WORKERS, report.id), msgspec.json.encode(report), ttl=TTL)


def forget(worker_id: str) -> Write:
    """The write of a worker that says goodbye."""
    return Write(Key(records.WORKERS, worker_id), None)


def read(store: Store, limit: int = 1000) -> list[WorkerReport]:
    """The reports of all workers that were heard of lately."""
    return [_DECODER.decode(raw.value) for _, raw in store.scan(records.WORKERS, limit=limit)]
