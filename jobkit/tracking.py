"""
Whether a delivery of a tracked job may run: its record knows, and only it.

Compare-and-set first, broker second: a crash at any step leaves a record that says what is true, and a copy that was left
behind is recognised here instead of run.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from jobkit import records
from jobkit.envelope import Envelope, Failure
from jobkit.records import JobRecord, Stored
from jobkit.store import Expect, Write


class Verdict(enum.Enum):
    """What to do with a delivery."""

    RUN = "run"
    BUSY = "busy"
    """Another worker runs it and lives: put it back as it is."""
    CRASHED = "crashed"
    """Its worker's lease has lapsed: that attempt has failed."""
    OVER = "over"
    """This copy is void, or the job has ended: settle it unrun, and repeat what a crash may have cut off."""


def needs_lookup(envelope: Envelope, receives: int) -> bool:
    """Plain jobs are asked about only once they come a second time; the usual job never touches the store."""
    return envelope.tracked or receives > 1


def judge(stored: Stored | None, envelope: Envelope, now: datetime) -> Verdict:
    """What the record says of this copy. Without one it runs: a first run, or one whose record has expired."""
    if stored is None:
        return Verdict.RUN
    record = stored.record
    if record.generation > envelope.generation or record.state in ("dead", "ended"):
        return Verdict.OVER
    if record.state == "custody":
        # The one who sends what is left of a lapsed custody changes the record only once the broker has confirmed.
        return Verdict.CRASHED if lapsed(record, now) else Verdict.OVER
    if record.state == "running":
        return Verdict.CRASHED if lapsed(record, now) else Verdict.BUSY
    return Verdict.RUN


def lapsed(record: JobRecord, now: datetime) -> bool:
    """Whether the worker that ran it has not been heard of for too long."""
    return record.lease_until is None or record.lease_until <= now


def remaining_lease(record: JobRecord, now: datetime) -> float:
    """Seconds until the running worker would be given up."""
    return max(0.0, (record.lease_until - now).total_seconds()) if record.lease_until else 0.0


def marked_start(
    envelope: Envelope, stored: Stored | None, *, worker: str, now: datetime, lease: float, track: bool
) -> tuple[JobRecord, Write]:
    """The record of a run that begins, and the write that claims it: of two workers that try, one gets YES."""
    record = records.of(
        caught_up(envelope, stored),
        "running",
        track=track or (stored is not None and stored.record.track),
        worker=worker,
        started_at=now,
        lease_until=now + timedelta(seconds=lease),
    )
    expect = Expect.ABSENT if stored is None else stored.version
    return record, records.write(envelope.id, record, expect=expect, ttl=None)


def spent(envelope: Envelope, stored: Stored | None) -> int:
    """Attempts used up: what the record says where it speaks of this copy, since it also knows of crashes."""
    if stored is None or stored.record.generation != envelope.generation:
        return envelope.spent
    return max(envelope.spent, stored.record.spent)


def failures(envelope: Envelope, stored: Stored | None) -> tuple[Failure, ...]:
    """All that are known: the record has each one first, so it may know one that a crash kept out of the body."""
    recorded = () if stored is None else stored.record.failures
    if not recorded or not envelope.failures:
        return recorded or envelope.failures
    return max(recorded, envelope.failures, key=lambda known: known[-1].at)


def caught_up(envelope: Envelope, stored: Stored | None) -> Envelope:
    """*envelope* with the attempts and failures that only its record knows of; itself, if there are none."""
    known = spent(envelope, stored), failures(envelope, stored)
    if known == (envelope.spent, envelope.failures):
        return envelope
    return envelope.replace(spent=known[0], failures=known[1])
