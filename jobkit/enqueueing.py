"""
The way in: job → envelope → message → transport. Plain jobs touch the broker only; for tracked ones the record comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import msgspec

from jobkit import codec, connections, decision, records
from jobkit.backend import Backend
from jobkit.envelope import WIRE_VERSION, Envelope, Step
from jobkit.errors import Rejected, TooLarge, Unavailable, Uncertain, Unsupported
from jobkit.handlers import New
from jobkit.ids import new_id
from jobkit.options import Using
from jobkit.queues import OUTBOX
from jobkit.store import Expect, Key, Write
from jobkit.transport import Answer, Message, Sent, Transport

ROOM_FOR_FAILURES = 64 * 1024
"""Bytes kept free in every body for what failed attempts add to it."""


@attrs.frozen
class Plan:
    """
    What enqueueing some jobs takes, in this order: *records*, *entries*, *messages*.

    Attributes:
        records: One for each tracked job; with its body, if it is parked.
        entries: One for each parked job.
        messages: One for each job that goes to the broker now.
    """

    records: list[Write]
    entries: list[Write]
    messages: list[Message]


def plan(jobs: Sequence[New[Any]], backend: Backend) -> Plan:
    """
    Raises:
        TooLarge: A job exceeds what the backend takes; the message names it.
    """
    made = Plan([], [], [])
    # An instant that decides something is the store's; the others are for people, and cost the plain path no look at it.
    now = backend.now() if any(_needs_clock(job, backend) for job in jobs) else backend.clock.now()
    for job in jobs:
        _plan_one(made, job, backend, now)
    return made


def plan_for_outbox(jobs: Sequence[New[Any]], backend: Backend, outbox: Backend) -> Plan:
    """
    The same for jobs that go to *outbox* with the caller's transaction, and to *backend* once a relay moves them on.

    Their delays pass in the outbox, whose clock decides: nothing of *backend* needs to be reached for this.

    Raises:
        TooLarge: As `plan`.
    """
    now = outbox.now() if any(_needs_clock(job, backend) for job in jobs) else outbox.clock.now()
    made = Plan([], [], [])
    for job in jobs:
        envelope, delay = _first(job, now)
        body = codec.encode(envelope)
        _check_size(envelope, body, backend)
        made.messages.append(Message(id=envelope.message_id, queue=OUTBOX, body=body, delay=delay))
    return made


def plan_unchecked(type_: str, args: msgspec.Raw, using: Using, backend: Backend) -> tuple[str, Plan]:
    """
    The same for one job by its type's name alone, without the handler: nothing checks *args*, and there is no record of it
    that users could ask. For those who have a name and no code, such as the command line. Returns the job's id too.

    Raises:
        TooLarge: As `plan`.
    """
    now = backend.now()
    delay = _delay(using, now)
    envelope = Envelope(
        v=WIRE_VERSION,
        id=new_id(),
        type=type_,
        queue=using.queue or "default",
        args=args,
        headers=dict(using.headers),
        priority=using.priority or "normal",
        enqueued_at=now,
        due=now + timedelta(seconds=delay) if delay else None,
        expires_at=None if using.expires is None else now + timedelta(seconds=using.expires),
    )
    made = Plan([], [], [])
    _plan_envelope(made, envelope, now, delay, backend, track=False)
    return envelope.id, made


def carry_out(made: Plan, backend: Backend) -> None:
    """
    Raises:
        Unavailable, Uncertain, Rejected: As `Bound.enqueue` says; the records of jobs that were not sent are removed.
    """
    versions: dict[Key, str | None] = {}
    if made.records:
        written = records.put(backend.store, made.records)
        # A record that was there before is that of an earlier try of the same enqueue: it stays as it is.
        versions = {write.key: one.version for write, one in zip(made.records, written, strict=True)}
        records.put(backend.store, made.entries)
    if not made.messages:
        return
    try:
        refused = _refused(send(backend.transport, made.messages), made.messages)
    except Unavailable:
        _forget(versions, made.messages, backend)
        raise
    if refused:
        _forget(versions, [message for message, _ in refused], backend)
        reasons = "; ".join(f"{message.id}: {reason}" for message, reason in refused)
        raise Rejected(f"{len(refused)} of {len(made.messages)} jobs were refused by the broker: {reasons}")


def carry_out_in_transaction(made: Plan, backend: Backend, connection: Any) -> None:
    """
    The same inside the caller's own transaction: everything exists if and only if it commits.

    Raises:
        Unsupported: The backend does not live in an SQL database, or its store lies elsewhere.
        ConfigurationError: *connection* is of a kind that is not known, or leads to another kind of database.
    """
    transport = backend.transport
    if not transport.capabilities.transactional:
        raise Unsupported(
            f"connection=: {transport.capabilities.name} does not live in an SQL database; name yours as the outbox: "
            "JobKit(outbox=...) or JOBKIT_OUTBOX_URL"
        )
    writes = [*made.records, *made.entries]
    if writes and not backend.same_database:
        raise Unsupported("connection=: a tracked or long delayed job needs its store in the same database as the jobs")
    backend.ensure_schema()
    answers = connections.enqueue(connection, transport, made.messages, writes)
    if any(answer.answer is not Answer.YES for answer in answers):
        raise Rejected(f"the database refused some of {len(answers)} writes: {answers}")


def send(transport: Transport, messages: Sequence[Message], attempts: int = 3) -> list[Sent]:
    """
    `Transport.send`, repeated under the same ids where a reply was lost.

    Raises:
        Unavailable: Nothing was sent.
        Uncertain: Replies were lost again and again; it names the messages.
    """
    answers = transport.send(messages)
    for _ in range(attempts - 1):
        lost = [index for index, sent in enumerate(answers) if sent.answer is Answer.UNKNOWN]
        if not lost:
            return answers
        try:
            repeated = transport.send([messages[index] for index in lost])
        except Unavailable:
            continue
        for index, sent in zip(lost, repeated, strict=True):
            answers[index] = sent
    open_ = [message.id for message, sent in zip(messages, answers, strict=True) if sent.answer is Answer.UNKNOWN]
    if open_:
        raise Uncertain(f"{len(open_)} jobs may or may not be stored: the broker's replies were lost", tuple(open_))
    return answers


def _plan_one(made: Plan, job: New[Any], backend: Backend, now: datetime) -> None:
    envelope, delay = _first(job, now)
    _plan_envelope(made, envelope, now, delay, backend, track=job.chain()[0].handler.options.track)


def _first(job: New[Any], now: datetime) -> tuple[Envelope, float]:
    """The envelope of the chain's first job, which carries the others, and its delay."""
    first, *rest = job.chain()
    delay = _delay(first.using, now)
    return _envelope(first, [_step(link) for link in rest], now, delay), delay


def _plan_envelope(made: Plan, envelope: Envelope, now: datetime, delay: float, backend: Backend, *, track: bool) -> None:
    body = codec.encode(envelope)
    _check_size(envelope, body, backend)
    if delay > backend.longest_delay:
        record, entry = decision.park_new(envelope, now + timedelta(seconds=delay), track=track)
        made.records.append(record)
        made.entries.append(entry)
        return
    if envelope.tracked:
        record_of = records.of(envelope, "sent", track=track)
        made.records.append(records.write(envelope.id, record_of, expect=Expect.ABSENT, ttl=records.SENT_TTL))
    made.messages.append(envelope.message(body, delay))


def _envelope(job: New[Any], steps: Sequence[Step], now: datetime, delay: float) -> Envelope:
    options, using = job.handler.options, job.using
    expires = options.expires if using.expires is None else using.expires
    return Envelope(
        v=WIRE_VERSION,
        id=job.id,
        type=options.name,
        type_version=options.version,
        queue=using.queue or options.queue,
        args=job.args,
        headers=dict(using.headers),
        priority=using.priority or options.priority,
        enqueued_at=now,
        due=now + timedelta(seconds=delay) if delay else None,
        expires_at=None if expires is None else now + timedelta(seconds=expires),
        successors=tuple(steps),
        tracked=options.track,
    )


def _step(job: New[Any]) -> Step:
    options, using = job.handler.options, job.using
    return Step(
        id=job.id,
        type=options.name,
        type_version=options.version,
        queue=using.queue or options.queue,
        args=job.args,
        priority=using.priority or options.priority,
        headers=dict(using.headers),
        result_as=job.result_as,
        delay=using.delay or 0.0,
        expires=options.expires if using.expires is None else using.expires,
        tracked=options.track,
    )


def _needs_clock(job: New[Any], backend: Backend) -> bool:
    using, options = job.chain()[0].using, job.chain()[0].handler.options
    return (
        using.at is not None
        or using.expires is not None
        or options.expires is not None
        or (using.delay or 0.0) > backend.longest_delay
    )


def _delay(using: Using, now: datetime) -> float:
    if using.at is not None:
        return max(0.0, (using.at - now).total_seconds())
    return using.delay or 0.0


def _check_size(envelope: Envelope, body: bytes, backend: Backend) -> None:
    limit = backend.largest_body - ROOM_FOR_FAILURES
    if len(body) > limit:
        raise TooLarge(f"{envelope.type}: the job has {len(body)} bytes; this backend takes {limit} at most")


def _refused(answers: Sequence[Sent], messages: Sequence[Message]) -> list[tuple[Message, str]]:
    pairs = zip(messages, answers, strict=True)
    return [(message, sent.reason) for message, sent in pairs if sent.answer is Answer.FAILED]


def _forget(versions: Mapping[Key, str | None], messages: Sequence[Message], backend: Backend) -> None:
    """
    Remove the records of jobs that were not sent, as far as this call has written them and nobody has since.

    At worst they stay and expire, which harms nobody.
    """
    keys = [records.job_key(message.id) for message in messages]
    gone = [Write(key, None, version) for key in keys if (version := versions.get(key)) is not None]
    if gone:
        backend.store.put(gone)
