"""
What the core keeps in the store: one record per tracked job, and index entries that are checked against it.

A record is a JSON header and, while no broker holds the job, its body behind a line feed: the bytes exactly as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import attrs
import msgspec

from jobkit.envelope import Envelope, Failure
from jobkit.errors import Unavailable, Uncertain
from jobkit.ids import new_id
from jobkit.queues import Priority
from jobkit.store import Expect, Key, Record, Store, Write, Written
from jobkit.transport import Answer

JOBS = "job"
DUE = "due"
DEAD = "dead"
PROGRESS = "progress"
WORKERS = "worker"
LOCKS = "lock"

ENDED_TTL = 86400.0
"""For how long an end is remembered at least, so that a copy which a crash left behind is recognised."""

SENT_TTL = 14 * 86400.0
"""For how long a job that waits in a broker keeps its record. The job itself stays; a lost record is made anew."""

State = Literal["parked", "sent", "running", "custody", "dead", "ended"]


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What is true of one tracked job.

    Attributes:
        state: parked (due at a time; the store holds the body), sent (a broker holds it), running, custody (running beyond
            the broker's longest lease; the store holds the body), dead, ended.
        generation: Copies of an older generation are void.
        nonce: Lets a writer recognise its own write.
        track: The handler asked for it, so users may ask for status and result.
        due: parked: when it shall be sent.
        lease_until: running, custody: when its worker is given up.
        outcome: ended: done, discarded or expired.
        result: ended: the handler's result as JSON, where somebody needs it.
        entry: dead, parked: the name of its index entry.
    """

    state: State
    generation: int
    nonce: str = msgspec.field(default_factory=new_id)
    type: str = ""
    queue: str = ""
    priority: Priority = "normal"
    enqueued_at: datetime | None = None
    track: bool = False
    spent: int = 0
    due: datetime | None = None
    worker: str = ""
    started_at: datetime | None = None
    lease_until: datetime | None = None
    ended_at: datetime | None = None
    outcome: str = ""
    reason: str = ""
    result: str | None = None
    failures: tuple[Failure, ...] = ()
    entry: str = ""

    def replace(self, **changes: object) -> JobRecord:
        """A copy with *changes* and a nonce of its own."""
        return msgspec.structs.replace(self, nonce=new_id(), **changes)


class DueEntry(msgspec.Struct, frozen=True):
    """The index entry of a parked job, or of one in custody; its name begins with the time."""

    id: str


class DeadEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter's summary: what lists and filters need, never the body."""

    id: str
    type: str
    queue: str
    error: str
    message: str
    died_at: datetime
    attempts: int


class Progress(msgspec.Struct, frozen=True):
    """How far a running job says that it is."""

    done: float
    total: float | None
    note: str
    at: datetime


@attrs.frozen
class Stored:
    """A job's record as read: with its body, where the store holds it, and the version to compare with."""

    record: JobRecord
    body: bytes | None = attrs.field(repr=False)
    version: str


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(JobRecord)
_DUE = msgspec.json.Decoder(DueEntry)
_DEAD = msgspec.json.Decoder(DeadEntry)


def job_key(job_id: str) -> Key:
    """Where the record of *job_id* lies."""
    return Key(JOBS, job_id)


def of(envelope: Envelope, state: State, *, track: bool, **fields: object) -> JobRecord:
    """A record of *envelope*'s job."""
    base = JobRecord(
        state=state,
        generation=envelope.generation,
        type=envelope.type,
        queue=envelope.queue,
        priority=envelope.priority,
        enqueued_at=envelope.enqueued_at,
        track=track,
        spent=envelope.spent,
        failures=envelope.failures,
    )
    return base.replace(**fields)


def write(
    job_id: str, record: JobRecord, body: bytes | None = None, *, expect: str | Expect, ttl: float | None = None
) -> Write:
    """The write that makes *record* the job's."""
    header = _ENCODER.encode(record)
    return Write(job_key(job_id), header if body is None else header + b"\n" + body, expect, ttl)


def parse(raw: Record) -> Stored:
    """A job's record from what the store holds."""
    header, has_body, body = raw.value.partition(b"\n")
    return Stored(_DECODER.decode(header), body if has_body else None, raw.version)


def read(store: Store, ids: Sequence[str]) -> list[Stored | None]:
    """The records of *ids*, in order, in one round trip; None where there is none."""
    return [None if raw is None else parse(raw) for raw in store.get([job_key(job_id) for job_id in ids])] if ids else []


def instant_name(instant: datetime, job_id: str) -> str:
    """An entry's name: ordered by *instant*, to the microsecond, unique by the job."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z/{job_id}"


def due_entry(job_id: str, name: str) -> Write:
    """The index entry under which the promoter finds a job that is parked or in custody."""
    return Write(Key(DUE, name), _ENCODER.encode(DueEntry(job_id)))


def due_time(name: str) -> datetime:
    """The instant in a due entry's name."""
    return datetime.strptime(name.partition("/")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def dead_entry(job_id: str, record: JobRecord) -> Write:
    """The index entry of a dead letter; the record names it."""
    last = record.failures[-1] if record.failures else None
    summary = DeadEntry(
        id=job_id,
        type=record.type[:128],
        queue=record.queue,
        error=last.error[:128] if last else "",
        message=(record.reason or (last.message if last else ""))[:300],
        died_at=record.ended_at or datetime.now(UTC),
        attempts=record.spent,
    )
    return Write(Key(DEAD, record.entry), _ENCODER.encode(summary))


def parse_due(raw: Record) -> DueEntry:
    return _DUE.decode(raw.value)


def parse_dead(raw: Record) -> DeadEntry:
    return _DEAD.decode(raw.value)


def put(store: Store, writes: Sequence[Write], attempts: int = 5) -> list[Written]:
    """
    `Store.put`, with a certain answer for each write: where a reply was lost, the record is read to see what happened.

    Raises:
        Uncertain: Not even asking helped.
        Unavailable: The store was not reached. What was written before is found again by its nonce when this is repeated.
    """
    answers = list(store.put(writes)) if writes else []
    _recognise(store, writes, answers)
    for _ in range(attempts):
        open_ = [index for index, written in enumerate(answers) if written.answer is Answer.UNKNOWN]
        if not open_:
            return answers
        try:
            for index, answer in zip(open_, _ask(store, [writes[index] for index in open_]), strict=True):
                answers[index] = answer
        except Unavailable:
            continue
    if any(written.answer is Answer.UNKNOWN for written in answers):
        raise Uncertain(f"{store.capabilities.name}: the replies to {len(writes)} writes were lost, again and again")
    return answers


def _recognise(store: Store, writes: Sequence[Write], answers: list[Written]) -> None:
    """A compare that was lost against the very same value was won by an earlier try, whose reply was lost."""
    lost = [
        index for index, written in enumerate(answers) if written.answer is Answer.LOST and writes[index].value is not None
    ]
    found = store.get([writes[index].key for index in lost]) if lost else []
    for index, record in zip(lost, found, strict=True):
        if record is not None and record.value == writes[index].value:
            answers[index] = Written(Answer.YES, record.version)


def _ask(store: Store, writes: Sequence[Write]) -> list[Written]:
    """What became of *writes*: found there, refused, or now written again."""
    answers: list[Written] = []
    for wanted, found in zip(writes, store.get([wanted.key for wanted in writes]), strict=True):
        if (found.value if found else None) == wanted.value:
            answers.append(Written(Answer.YES, found.version if found else None))
        else:
            answers.extend(store.put([wanted]))
    return answers
