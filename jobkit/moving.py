"""
The mover: takes jobs over from another transport, under the same ids.

The rule, killed anywhere and run again: the record with the body in the destination's store, then the source is told that
the job is done, then it is sent, then the record says so. A job that was taken over before is recognised by its record.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobkit import burial, codec, decision, parking, records
from jobkit.backend import Backend
from jobkit.codec import Undecodable
from jobkit.store import Write
from jobkit.transport import Answer, Delivery, Done, Transport


def take_over(deliveries: Sequence[Delivery], source: Transport, backend: Backend, mover: str) -> int:
    """
    Move what *deliveries* of *source* hold to *backend*; what cannot be decoded becomes a dead letter there.

    Returns how many were taken over. Those whose loan was lost meanwhile count too: another mover has them.

    Raises:
        Unavailable: One of the three was not reached. Whatever was begun is finished by running it again, or by a worker.
    """
    now = backend.now()
    parked: list[tuple[Write, Write]] = []
    for delivery in deliveries:
        try:
            envelope = codec.decode(delivery.message.body)
        except Undecodable as error:
            _bury(delivery, error, backend, mover)
        else:
            parked.append(decision.park_new(envelope, now, track=envelope.tracked))
    ids = _park(parked, backend)
    settled = source.settle([Done(delivery) for delivery in deliveries])
    parking.promote_jobs(backend, ids)
    return sum(1 for one in settled if one.answer is not Answer.FAILED)


def _park(parked: Sequence[tuple[Write, Write]], backend: Backend) -> list[str]:
    """Write the records and then their entries; returns the ids. A job that was parked before keeps its own entry."""
    answers = records.put(backend.store, [record for record, _ in parked])
    new = [entry for (_, entry), written in zip(parked, answers, strict=True) if written.answer is Answer.YES]
    ids = [record.key.name for record, _ in parked]
    known = [job_id for job_id, written in zip(ids, answers, strict=True) if written.answer is not Answer.YES]
    found = zip(known, records.read(backend.store, known), strict=True)
    old = [
        records.due_entry(job_id, stored.record.entry)
        for job_id, stored in found
        if stored is not None and stored.record.state == "parked" and stored.record.entry
    ]
    records.put(backend.store, [*new, *old])
    return ids


def _bury(delivery: Delivery, error: Undecodable, backend: Backend, mover: str) -> None:
    now = backend.now()
    envelope = burial.unreadable(delivery, now)
    made = burial.undecodable(envelope, delivery, error, None, mover, now)
    records.put(backend.store, [] if made.record is None else [made.record])
    records.put(backend.store, list(made.after))
