"""Dead letters of jobs that were not run: bodies that nobody can read, and what no broker takes."""

from __future__ import annotations

import hashlib
from datetime import datetime

from jobkit import decision, failures, records
from jobkit.envelope import NO_ARGS, Envelope, Failure, identity
from jobkit.outcome import class_names
from jobkit.queues import logical
from jobkit.records import JobRecord, Stored
from jobkit.store import RECORD_NAME
from jobkit.transport import Delivery, Done


def unreadable(delivery: Delivery, now: datetime) -> Envelope:
    """What stands for the envelope of a body that nobody can read: no more than the broker's message tells."""
    job_id, generation = identity(delivery.message.id)
    if len(job_id) > 200 or not RECORD_NAME.fullmatch(job_id):
        job_id = "unreadable-" + hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Envelope(
        v=0,
        id=job_id,
        generation=generation,
        type="",
        queue=logical(delivery.message.queue),
        args=NO_ARGS,
        enqueued_at=now,
    )


def undecodable(
    envelope: Envelope, delivery: Delivery, error: Exception, stored: Stored | None, worker: str, now: datetime
) -> decision.Decision:
    """A body that nobody can read becomes a dead letter with its raw bytes. *envelope* is that of `unreadable`."""
    known = records.of(envelope, "dead", track=False) if stored is None else stored.record
    record = buried(known, envelope.id, error, worker, now)
    return decision.Decision(
        label="dead",
        record=records.write(envelope.id, record, delivery.message.body, expect=decision.expected(stored)),
        after=(records.dead_entry(envelope.id, record),),
        settlement=Done(delivery),
        reason=str(error),
    )


def buried(record: JobRecord, job_id: str, error: Exception, worker: str, now: datetime) -> JobRecord:
    """*record* of a job that dies without a run, because of *error*."""
    reason = str(error)
    failure = Failure(
        at=now,
        attempt=record.spent + 1,
        error=class_names(type(error))[0],
        message=failures.fit(reason, failures.MESSAGE),
        worker=worker,
    )
    return record.replace(
        state="dead",
        failures=failures.with_failure(record.failures, failure),
        reason=failures.fit(reason, failures.SHORT),
        ended_at=now,
        worker=worker,
        due=None,
        lease_until=None,
        entry=records.instant_name(now, job_id),
    )
