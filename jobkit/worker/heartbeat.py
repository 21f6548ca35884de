"""
The heartbeat: keeps the leases of all that is held, hands back what waits too long, takes custody, and reports.

A lost lease is told to the run at once. The broker's answer counts; where it cannot be asked, the deadline on the steady
clock does, which goes on while the process is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobkit import codec, decision, heartbeats, records, tracking
from jobkit.records import Stored
from jobkit.store import Expect
from jobkit.transport import Answer, Delivery, Done
from jobkit.worker.patience import unexpected
from jobkit.worker.runs import Buffer, Run
from jobkit.worker.settling import Settler
from jobkit.worker.workshop import Workshop, log

PATIENCE_OF_WAITING = 1.0
"""Seconds after which a fetched job that no slot has taken is given back: another worker may be idle."""


class Heartbeat:
    """Runs in a thread of its own from the first fetch until everything is settled."""

    def __init__(self, workshop: Workshop, buffer: Buffer, settler: Settler) -> None:
        self._workshop = workshop
        self._buffer = buffer
        self._settler = settler
        self._lease = workshop.settings.lease
        self._reported = -1
        self._reported_at = 0.0
        self._failing = False

    @property
    def tick(self) -> float:
        """Seconds between two beats: several within a lease, so that one that fails does no harm."""
        return max(0.05, min(self._lease / 8, 1.0))

    def beat(self) -> None:
        """One beat. What fails is tried again at the next one."""
        held = self._workshop.held.all()
        try:
            self._extend([run for run in held if self._is_due(run)])
            self._keep_records([run for run in held if run.stored is not None])
            self._take_custody(held)
            self._report()
            self._note_success()
        except Exception as error:  # noqa: BLE001 - logged; without this thread every lease would lapse
            self._note_failure(error)
        self._lose_lapsed(held)
        self._hand_back_waiting()

    def _is_due(self, run: Run) -> bool:
        return run.delivery is not None and run.lease_until - self._now() < self._lease * 2 / 3

    def _now(self) -> float:
        return self._workshop.backend.clock.steady()

    def _extend(self, runs: Sequence[Run]) -> None:
        pairs: list[tuple[Run, Delivery]] = [(run, run.delivery) for run in runs if run.delivery is not None]
        if not pairs:
            return
        # Counted from before the call: the broker's lease is at least as long.
        until = self._now() + self._lease
        answers = self._workshop.backend.transport.extend([delivery for _, delivery in pairs], lease=self._lease)
        for (run, delivery), settled in zip(pairs, answers, strict=True):
            if settled.answer is Answer.YES:
                run.lease_until = until
            elif settled.answer is Answer.LOST and run.delivery is delivery and not run.ended:
                self._lose(run)

    def _keep_records(self, runs: Sequence[Run]) -> None:
        """Extend the leases in the records of running jobs: they decide whether a second delivery may run."""
        for run in runs:
            with run.lock:
                stored = run.stored
                if run.ended or run.started_at is None or stored is None or not self._record_is_due(stored):
                    continue
                record = stored.record.replace(lease_until=self._lease_end())
                write = records.write(run.envelope.id, record, stored.body, expect=stored.version)
                [written] = records.put(self._workshop.backend.store, [write])
                if written.answer is Answer.YES and written.version is not None:
                    run.stored = Stored(record, stored.body, written.version)
                    if run.delivery is None:
                        run.lease_until = self._now() + self._lease
                elif written.answer is Answer.LOST:
                    self._lose(run)

    def _record_is_due(self, stored: Stored) -> bool:
        until = stored.record.lease_until
        return until is not None and (until - self._workshop.backend.now()).total_seconds() < self._lease * 2 / 3

    def _take_custody(self, runs: Sequence[Run]) -> None:
        """A job that is about to outlive the broker's longest lease goes over to the store, and runs on."""
        longest = self._workshop.backend.transport.capabilities.max_lease
        for run in runs:
            if run.delivery is not None and run.started_at is not None and not run.ended:
                held_for = self._now() - run.fetched_at
                if held_for + 2 * self._lease > longest:
                    self._move_to_store(run)

    def _move_to_store(self, run: Run) -> None:
        with run.lock:
            delivery = run.delivery
            if run.ended or delivery is None:
                return
            handler = run.handler
            known = tracking.caught_up(run.envelope, run.stored)
            envelope = known.replace(generation=known.generation + 1, tracked=True)
            until = self._lease_end()
            record = records.of(
                envelope,
                "custody",
                track=handler is not None and handler.options.track,
                worker=self._workshop.id,
                started_at=self._workshop.backend.now(),
                lease_until=until,
                entry=records.instant_name(until, envelope.id),
            )
            body = codec.encode(envelope, delivery.message.body)
            expect = Expect.ABSENT if run.stored is None else run.stored.version
            [written] = records.put(self._workshop.backend.store, [records.write(envelope.id, record, body, expect=expect)])
            if written.answer is not Answer.YES or written.version is None:
                self._lose(run)
                return
            run.envelope, run.stored, run.delivery = envelope, Stored(record, body, written.version), None
            run.lease_until = self._now() + self._lease
        self._workshop.backend.store.put([records.due_entry(envelope.id, record.entry)])
        self._workshop.backend.transport.settle([Done(delivery)])
        log.info("job %s outlives the broker's longest lease; the store has custody of it", envelope.id)

    def _lease_end(self) -> datetime:
        return self._workshop.backend.now() + timedelta(seconds=self._lease)

    def _lose_lapsed(self, runs: Sequence[Run]) -> None:
        now = self._now()
        for run in runs:
            if run.lease_until <= now:
                self._lose(run)

    def _lose(self, run: Run) -> None:
        if not run.lost.is_set():
            log.warning("job %s: the lease was lost; its outcome will be dropped", run.envelope.id)
            self._workshop.counts.add(run.envelope.type, "lost", None)
            run.lose()

    def _hand_back_waiting(self) -> None:
        for run in self._buffer.take_older_than(self._now() - PATIENCE_OF_WAITING):
            give_back(self._workshop, self._settler, run)

    def _report(self) -> None:
        """Now and then, and soon after something has ended: whoever watches the counters should not wait for them."""
        settled = self._workshop.counts.settled
        changed = settled != self._reported and self._now() >= self._reported_at + heartbeats.SOON
        if changed or self._now() >= self._reported_at + heartbeats.EVERY:
            self._workshop.publish()
            self._reported, self._reported_at = settled, self._now()

    def _note_failure(self, error: Exception) -> None:
        if not self._failing:
            log.warning("keeping leases: %s; trying again until it works", error, exc_info=unexpected(error))
        self._failing = True

    def _note_success(self) -> None:
        if self._failing:
            log.warning("keeping leases works again")
        self._failing = False


def give_back(workshop: Workshop, settler: Settler, run: Run) -> None:
    """Hand a job that was not started to whoever wants it, as if it had never been here."""
    if run.delivery is None or run.lost.is_set():
        workshop.held.remove([run])
        return
    run.ended = True
    settler.add(run, decision.put_back(run.envelope, run.stored, run.delivery, 0.0))
