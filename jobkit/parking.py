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

from jobkit import burial, codec, records, tracking
from jobkit.backend import Backend
from jobkit.codec import Undecodable
from jobkit.enqueueing import send
from jobkit.envelope import Envelope
from jobkit.errors import JobKitError, Rejected, TooLarge
from jobkit.records import Stored
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


SETTLING = 60.0
"""Seconds for which an entry may be ahead of its record: who replays a dead letter writes the entry first, so that the job
is found again should the next step never come."""


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


def promote_jobs(backend: Backend, ids: Sequence[str]) -> None:
    """Send these parked jobs now; their entries tell the promoter to do it should this process not get that far."""
    found = [stored.record.entry for stored in records.read(backend.store, ids) if stored is not None]
    names = [name for name in found if name]
    entries = zip(names, backend.store.get([Key(records.DUE, name) for name in names]), strict=True)
    due = [(name, entry) for name, entry in entries if entry is not None]
    if due:
        _promote(backend, due, backend.now())


def _promote(backend: Backend, entries: Sequence[tuple[str, Record]], now: datetime) -> int:
    ids = [records.parse_due(raw).id for _, raw in entries]
    found = zip(entries, ids, records.read(backend.store, ids), strict=True)
    due = [_Due(name, raw, job_id, stored) for (name, raw), job_id, stored in found]
    meant = [one for one in due if _is_meant(one, now)]
    _put_right(backend, [one for one in due if one not in meant and not _is_ahead(one, now)])
    moving: list[tuple[_Due, Envelope, Message]] = []
    hopeless: list[tuple[_Due, JobKitError]] = []
    for one in meant:
        try:
            moving.append((one, *_revive(one, backend)))
        except (Undecodable, TooLarge) as error:
            hopeless.append((one, error))
    sent = _send(backend, moving, hopeless)
    _bury(backend, hopeless, now)
    return sent


def _revive(due: _Due, backend: Backend) -> tuple[Envelope, Message]:
    """
    The message to send for an entry.

    Raises:
        Undecodable, TooLarge: It can never be sent; it must not keep the others from it.
    """
    body = b"" if due.stored is None or due.stored.body is None else due.stored.body
    envelope = codec.decode(body)
    capabilities = backend.transport.capabilities
    if len(body) > capabilities.max_body:
        raise TooLarge(f"the job has {len(body)} bytes; {capabilities.name} takes {capabilities.max_body} at most")
    return envelope, envelope.message(body)


def _is_meant(due: _Due, now: datetime) -> bool:
    """Whether the entry still speaks of its record: a parked job has one entry, one in custody may have had several."""
    if due.stored is None:
        return False
    record = due.stored.record
    if record.state == "custody":
        return tracking.lapsed(record, now)
    return record.state == "parked" and record.entry == due.name


def _is_ahead(due: _Due, now: datetime) -> bool:
    """Whether the record may be about to follow the entry."""
    if due.stored is None or due.stored.record.state != "dead":
        return False
    return now < records.due_time(due.name) + timedelta(seconds=SETTLING)


def _put_right(backend: Backend, stale: Sequence[_Due]) -> None:
    """Remove entries that have nothing to say any more, once those that should stand in their place are there."""
    right = _once([write for one in stale for write in _right_entry(one)])
    records.put(backend.store, right)
    kept = {write.key for write in right}
    gone = [Write(Key(records.DUE, one.name), None, one.entry.version) for one in stale]
    records.put(backend.store, _once([write for write in gone if write.key not in kept]))


def _right_entry(stale: _Due) -> list[Write]:
    """
    For a job in custody whose worker lives: one at its lease's end. For a parked job: the one that its record names, which
    a crash may have kept from being written.

    The record is left alone: it is its worker's, whose compare-and-sets must not be disturbed.
    """
    if stale.stored is None:
        return []
    record = stale.stored.record
    if record.state == "custody" and record.lease_until is not None:
        return [records.due_entry(stale.id, records.instant_name(record.lease_until, stale.id))]
    return [records.due_entry(stale.id, record.entry)] if record.state == "parked" and record.entry else []


def _send(
    backend: Backend, moving: Sequence[tuple[_Due, Envelope, Message]], hopeless: list[tuple[_Due, JobKitError]]
) -> int:
    """Send, and only then let go. What the broker refuses for good joins the *hopeless*."""
    if not moving:
        return 0
    answers = send(backend.transport, [message for _, _, message in moving])
    pairs = list(zip(moving, answers, strict=True))
    done = [one for one, sent in pairs if sent.answer is Answer.YES]
    hopeless.extend((due, Rejected(sent.reason)) for (due, _, _), sent in pairs if sent.answer is Answer.FAILED)
    # A worker may have started the job by now; then its record has moved on, and this compare is lost, as it should be.
    records.put(backend.store, _once([_sent(due, envelope) for due, envelope, _ in done]))
    records.put(backend.store, _once([_gone(due) for due, _, _ in done]))
    return len(done)


def _bury(backend: Backend, hopeless: Sequence[tuple[_Due, JobKitError]], now: datetime) -> None:
    """Make dead letters of what can never be sent."""
    for due, error in hopeless:
        if due.stored is None:
            continue
        record = burial.buried(due.stored.record, due.id, error, "promoter", now)
        dying = records.write(due.id, record, due.stored.body, expect=due.stored.version)
        [written] = records.put(backend.store, [dying])
        if written.answer is Answer.YES:
            records.put(backend.store, [records.dead_entry(due.id, record)])
            records.put(backend.store, [_gone(due)])


def _gone(due: _Due) -> Write:
    return Write(Key(records.DUE, due.name), None, due.entry.version)


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
