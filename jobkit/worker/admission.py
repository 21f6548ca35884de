"""Between fetch and run: decode, ask the records of those that have one, and sort out what must not run here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import msgspec

from jobkit import burial, codec, decision, records, tracking
from jobkit.codec import Undecodable
from jobkit.decision import Decision
from jobkit.envelope import Envelope
from jobkit.errors import Unavailable, WorkerCrashed
from jobkit.handlers import Handler
from jobkit.outcome import Expired, Failed, UnknownType, class_names
from jobkit.records import Stored
from jobkit.tracking import Verdict
from jobkit.transport import Delivery
from jobkit.worker.runs import Run
from jobkit.worker.workshop import Workshop, log


@attrs.frozen
class Admitted:
    """What came of a fetch: jobs to *run*, and jobs whose end was *decided* without running them."""

    run: list[Run]
    decided: list[tuple[Run, Decision]]


LOOK_AGAIN = 5.0
"""Seconds after which a delivery whose job runs elsewhere is looked at again: that run may end long before its lease."""


class Admission:
    """Sorts deliveries."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def admit(self, deliveries: Sequence[Delivery]) -> Admitted:
        """
        Raises:
            Unavailable: The store was not reached; the same call can be repeated.
        """
        try:
            return self._admit(deliveries)
        except msgspec.DecodeError as error:
            if len(deliveries) > 1:
                parts = [self.admit([delivery]) for delivery in deliveries]
                return Admitted([run for part in parts for run in part.run], [one for part in parts for one in part.decided])
            # Perhaps a newer version wrote it. Nothing may be decided without it, and the others must not wait for it.
            log.error("message %s is left alone: its record cannot be read: %s", deliveries[0].message.id, error)
            return Admitted([], [])

    def _admit(self, deliveries: Sequence[Delivery]) -> Admitted:
        admitted = Admitted([], [])
        decoded = [(delivery, *self._decode(delivery)) for delivery in deliveries]
        found = self._look_up(decoded)
        for delivery, envelope, error in decoded:
            if error is None:
                self._sort(admitted, delivery, envelope, found.get(envelope.id))
            else:
                self._bury_raw(admitted, delivery, envelope, error, found.get(envelope.id))
        return admitted

    def _decode(self, delivery: Delivery) -> tuple[Envelope, Undecodable | None]:
        try:
            return codec.decode(delivery.message.body), None
        except Undecodable as error:
            return burial.unreadable(delivery, self._workshop.backend.now()), error

    def _look_up(self, decoded: Sequence[tuple[Delivery, Envelope, Undecodable | None]]) -> dict[str, Stored | None]:
        ids = [
            envelope.id
            for delivery, envelope, error in decoded
            if error is not None or tracking.needs_lookup(envelope, delivery.receives)
        ]
        return dict(zip(ids, records.read(self._workshop.backend.store, ids), strict=True))

    def _sort(self, admitted: Admitted, delivery: Delivery, envelope: Envelope, stored: Stored | None) -> None:
        now = self._workshop.backend.now() if stored or envelope.expires_at else None
        verdict = Verdict.RUN if now is None else tracking.judge(stored, envelope, now)
        if verdict is Verdict.BUSY and stored is not None and now is not None:
            self._wait_for_the_other(delivery, tracking.remaining_lease(stored.record, now))
            return
        handler = self._workshop.app.find(envelope.type)
        run = self._run(delivery, envelope, stored, handler)
        decided = self._decide_unrun(run, delivery, stored, verdict, now)
        if decided is None:
            admitted.run.append(run)
        else:
            admitted.decided.append((run, decided))

    def _wait_for_the_other(self, delivery: Delivery, remaining: float) -> None:
        """
        Another worker runs this job and lives. The loan ends when that one's lease would, or earlier, for another look;
        nothing is settled, spent or rewritten.
        """
        try:
            self._workshop.backend.transport.extend([delivery], lease=min(LOOK_AGAIN, max(0.05, remaining)))
        except Unavailable as error:
            log.debug("message %s lapses by itself: %s", delivery.message.id, error)

    def _decide_unrun(
        self, run: Run, delivery: Delivery, stored: Stored | None, verdict: Verdict, now: datetime | None
    ) -> Decision | None:
        envelope = run.envelope
        if verdict is Verdict.OVER and now is not None:
            return decision.void(stored, envelope, delivery, now, self._workshop.backend.transport.capabilities)
        if verdict is Verdict.CRASHED and stored is not None:
            return decision.decide(self._case(run), _crash(stored.record.worker))
        if envelope.expires_at is not None and now is not None and envelope.expires_at <= now:
            return decision.decide(self._case(run), Expired())
        if run.handler is None:
            log.warning("job %s: no handler is called %r here", envelope.id, envelope.type)
            return decision.decide(self._case(run), UnknownType())
        return None

    def _case(self, run: Run) -> decision.Case:
        return self._workshop.case(run.envelope, run.delivery, run.stored, run.handler)

    def _run(
        self, delivery: Delivery, envelope: Envelope, stored: Stored | None, handler: Handler[Any, Any, Any] | None
    ) -> Run:
        return Run(
            envelope=envelope,
            handler=handler,
            delivery=delivery,
            stored=stored,
            fetched_at=self._workshop.backend.clock.steady(),
            lease_until=delivery.lease_until,
        )

    def _bury_raw(
        self, admitted: Admitted, delivery: Delivery, envelope: Envelope, error: Undecodable, stored: Stored | None
    ) -> None:
        """A body that nobody can read, whose record may still say that this copy is void, or running elsewhere."""
        workshop, now = self._workshop, self._workshop.backend.now()
        verdict = tracking.judge(stored, envelope, now)
        if verdict is Verdict.BUSY and stored is not None:
            self._wait_for_the_other(delivery, tracking.remaining_lease(stored.record, now))
            return
        if verdict is Verdict.OVER:
            decided = decision.void(stored, envelope, delivery, now, workshop.backend.transport.capabilities)
        else:
            log.error("message %s on %s: %s", delivery.message.id, delivery.message.queue, error)
            decided = burial.undecodable(envelope, delivery, error, stored, workshop.id, now)
        admitted.decided.append((self._run(delivery, envelope, stored, None), decided))


def _crash(worker: str) -> Failed:
    return Failed(class_names(WorkerCrashed), f"worker {worker or 'unknown'} stopped without settling the job")
