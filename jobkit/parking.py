"""
Jobs that the store keeps until they are due, and the promoter that sends them.

A parked job's record holds its body and an index entry its time. One worker at a time, the holder of a lease record, sends
what is due by the rule *record first, broker second*: the record keeps the body until the send is confirmed, so a crash
at any step leaves something to repeat, and a copy that was sent twice is recognised by its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
import msgspec

from jobkit import codec, records, tracking
from jobkit.backend import Backend
from jobkit.codec import Undecodable
from jobkit.enqueueing import send
from jobkit.envelope import Envelope
from jobkit.records import JobRecord, Stored
from jobkit.store import Expect, Key, Record, Write
from jobkit.transport import Answer, Message

BATCH = 100
LEADER = Key(records.LOCKS, "promoter")
LEADER_LEASE = 10.0
"""Seconds after which a promoter that has vanished is replaced."""


class _Lease(msgspec.Struct, frozen=True):
    holder: str
    until: datetime


class Leadership:
    """A lease record that one process holds at a time; the others look whether it has lapsed."""

    def __init__(self, backend: Backend, key: Key, holder: str, lease: float) -> None:
        self._led = False
        self._backend = backend
        self._key = key
        self._holder = holder
        self._lease = lease
        self._renew_at = 0.0

    def held(self) -> bool:
        """Whether this process leads now. Asks the store only now and then."""
        steady = self._backend.clock.steady()
        if steady < self._renew_at:
            return self._led
        # Only after an answer: while the store is away, every look asks it, and none takes an old answer for a new one.
        self._led = self._try()
        self._renew_at = steady + self._lease / 3
        return self._led

    def release(self) -> None:
        """Let somebody else lead at once."""
        if self._led:
            self._led = False
            [found] = self._backend.store.get([self._key])
            if found is not None and _decode(found).holder == self._holder:
                self._backend.store.put([Write(self._key, None, found.version)])

    def _try(self) -> bool:
        [found] = self._backend.store.get([self._key])
        now = self._backend.now()
        if found is not None and _decode(found).holder != self._holder and _decode(found).until > now:
            return False
        value = msgspec.json.encode(_Lease(self._holder, now + timedelta(seconds=self._lease)))
        expect = Expect.ABSENT if found is None else found.version
        [written] = records.put(self._backend.store, [Write(self._key, value, expect)])
        return written.answer is Answer.YES


def _decode(found: Record) -> _Lease:
    return msgspec.json.decode(found.value, type=_Lease)


@attrs.frozen
class _Due:
    """One entry whose time has come, with the record that it points to."""

    name: str
    entry: Record
    id: str
    stored: Stored | None


@attrs.frozen
class Pass:
    """What one look at the parked jobs did: how many were *sent*, and seconds until the *next* is due (None: none)."""

    sent: int
    next: float | None


def promote(backend: Backend) -> Pass:
    """Send up to a batch of what is due. Any number of processes may do this at once; it only costs them work."""
    now = backend.now()
    found = backend.store.scan(records.DUE, limit=BATCH)
    due = [(name, raw) for name, raw in found if records.due_time(name) <= now]
    sent = _promote(backend, due, now) if due else 0
    rest = found[len(due) :]
    if rest:
        return Pass(sent, max(0.0, (records.due_time(rest[0][0]) - now).total_seconds()))
    return Pass(sent, 0.0 if len(due) == BATCH else None)


def promote_job(backend: Backend, job_id: str) -> None:
    """Send one parked job now, if it is due; its entry tells the promoter to do it should this process not get that far."""
    [stored] = records.read(backend.store, [job_id])
    if stored is not None and stored.record.entry:
        [entry] = backend.store.get([Key(records.DUE, stored.record.entry)])
        if entry is not None:
            _promote(backend, [(stored.record.entry, entry)], backend.now())


def _promote(backend: Backend, entries: Sequence[tuple[str, Record]], now: datetime) -> int:
    ids = [records.parse_due(raw).id for _, raw in entries]
    found = zip(entries, ids, records.read(backend.store, ids), strict=True)
    due = [_Due(name, raw, job_id, stored) for (name, raw), job_id, stored in found]
    moving: list[tuple[_Due, Envelope, Message]] = []
    stale: list[_Due] = []
    for one in due:
        revived = _revive(one, now)
        if revived is None:
            stale.append(one)
        else:
            moving.append((one, *revived))
    renewed = _entries_in_custody(stale)
    backend.store.put(_once(renewed))
    gone = [Write(Key(records.DUE, one.name), None, one.entry.version) for one in stale]
    backend.store.put(_once([write for write in gone if write.key not in {new.key for new in renewed}]))
    return _send(backend, moving)


def _revive(due: _Due, now: datetime) -> tuple[Envelope, Message] | None:
    """The message to send for an entry; None if the entry has nothing to say any more."""
    stored = due.stored
    if stored is None or stored.body is None or not _is_meant(stored.record, due.name, now):
        return None
    try:
        envelope = codec.decode(stored.body)
    except Undecodable:
        return None
    return envelope, envelope.message(stored.body)


def _is_meant(record: JobRecord, entry: str, now: datetime) -> bool:
    """Whether the entry still speaks of its record: a parked job has one entry, one in custody may have had several."""
    if record.state == "custody":
        return tracking.lapsed(record, now)
    return record.state == "parked" and record.entry == entry


def _entries_in_custody(stale: Sequence[_Due]) -> list[Write]:
    """
    New entries for jobs in custody whose workers live, at their leases' ends.

    The record is the worker's alone: it does not learn of this, so its compare-and-sets are not disturbed.
    """
    found = [(one.id, one.stored.record) for one in stale if one.stored is not None]
    return [
        records.due_entry(job_id, records.instant_name(record.lease_until, job_id))
        for job_id, record in found
        if record.state == "custody" and record.lease_until is not None
    ]


def _send(backend: Backend, moving: Sequence[tuple[_Due, Envelope, Message]]) -> int:
    if not moving:
        return 0
    answers = send(backend.transport, [message for _, _, message in moving])
    done = [one for one, sent in zip(moving, answers, strict=True) if sent.answer is Answer.YES]
    # A worker may have started the job by now; then its record has moved on, and this compare is lost, as it should be.
    records.put(backend.store, _once([_sent(due, envelope) for due, envelope, _ in done]))
    backend.store.put(_once([Write(Key(records.DUE, due.name), None, due.entry.version) for due, _, _ in done]))
    return len(done)


def _sent(due: _Due, envelope: Envelope) -> Write:
    assert due.stored is not None  # `_revive` has seen it
    if due.stored.record.state == "custody":
        # Left as a run whose lease has lapsed: whoever receives it counts the crash as a failed attempt.
        crashed = due.stored.record.replace(state="running", entry="")
        return records.write(envelope.id, crashed, expect=due.stored.version)
    record = due.stored.record.replace(state="sent", due=None, entry="")
    return records.write(envelope.id, record, expect=due.stored.version, ttl=records.SENT_TTL)


def _once(writes: Sequence[Write]) -> list[Write]:
    """One write per key: two entries may name the same job."""
    return list({write.key: write for write in writes}.values())
