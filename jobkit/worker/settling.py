"""
Carrying out decisions, in batches that form by themselves: a batch is what has gathered while the last one was under way.

Order matters: what the decision needs, the record (compare-and-set), its index entries, and only then the broker. While the
store or broker is away the *decision* is tried again and again under the lease, never the handler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from jobkit import decision, records
from jobkit.decision import Decision
from jobkit.errors import JobKitError, Unavailable, Uncertain
from jobkit.outcome import HandedBack, Outcome, Success
from jobkit.store import Write, Written
from jobkit.transport import Answer, Settled
from jobkit.worker.patience import Patience
from jobkit.worker.runs import Run
from jobkit.worker.workshop import Workshop, log

T = TypeVar("T")

LARGEST_BATCH = 500

REPEAT_PAUSE = 0.05
"""Seconds before a settlement with an unknown result is repeated."""


class GaveUp(Exception):
    """The worker is leaving, and the decision could not be carried out: the lease lapses and the job comes back."""


@attrs.frozen
class Ended:
    """
    A job whose end is decided.

    Attributes:
        repeated: The reply to its settlement was lost, or the broker could not say: it is settled once more.
    """

    run: Run
    decision: Decision
    repeated: bool = False

    def again(self) -> Ended:
        """What is left to do after a settlement with an unknown result: its records are written."""
        return Ended(self.run, Decision(label=self.decision.label, settlement=self.decision.settlement), repeated=True)


def decided(workshop: Workshop, run: Run, outcome: Outcome) -> Decision:
    """What follows from how a run ended. A job that was not started goes back as it came."""
    if isinstance(outcome, HandedBack) and run.started_at is None and run.delivery is not None:
        return decision.put_back(run.envelope, run.stored, run.delivery, 0.0)
    if isinstance(outcome, Success) and run.stored is None and run.delivery is not None and not run.envelope.successors:
        return decision.plain_success(run.delivery)
    case = workshop.case(run.envelope, run.delivery, run.stored, run.handler)
    return decision.decide(case, outcome)


class Settler:
    """Takes decisions from any thread and carries them out."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._pending: list[Ended] = []
        self._changed = threading.Condition()
        self._closed = False
        self._patience = Patience("settling jobs")

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def failing(self) -> bool:
        """Whether the store or broker could not be reached for the last batch: no time to fetch more."""
        return self._patience.failing

    def add(self, run: Run, what: Decision) -> None:
        """Take a decision."""
        with self._changed:
            self._pending.append(Ended(run, what))
            self._changed.notify()

    def run(self) -> None:
        """The settler thread: until `close`, and then until nothing is pending."""
        while batch := self._next_batch():
            self.carry_out(batch)

    def close(self) -> None:
        """Let `run` end once everything is settled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Carry out what is pending, in this thread."""
        while self._pending:
            self.carry_out(self._next_batch())

    def carry_out(self, batch: Sequence[Ended]) -> None:
        """Carry out one batch, whatever it takes, and let go of its jobs, but for those that must be settled once more."""
        unknown: Sequence[Ended] = ()
        try:
            unknown = self._try(batch)
        except GaveUp:
            log.warning("leaving with %d decisions not carried out; their jobs come back", len(batch))
        except (JobKitError, ValueError) as error:
            self._one_by_one(batch, error)
        except Exception:  # noqa: BLE001 - logged; the settler must go on
            log.exception("%d decisions could not be carried out; their jobs come back when the lease ends", len(batch))
        finally:
            repeating = {id(ended.run) for ended in unknown}
            self._workshop.held.remove([ended.run for ended in batch if id(ended.run) not in repeating])
        if unknown:
            self._workshop.leaving.wait(REPEAT_PAUSE)
            with self._changed:
                self._pending.extend(ended.again() for ended in unknown)

    def _next_batch(self) -> list[Ended]:
        with self._changed:
            while not self._pending and not self._closed:
                self._changed.wait()
            batch, self._pending = self._pending[:LARGEST_BATCH], self._pending[LARGEST_BATCH:]
            return batch

    def _try(self, batch: Sequence[Ended]) -> Sequence[Ended]:
        """Returns those whose settlement has an unknown result."""
        store = self._workshop.backend.store
        self._insist(lambda: records.put(store, _once(batch, lambda one: one.decision.before)))
        ours = self._write_records(batch)
        self._insist(lambda: records.put(store, _once(ours, lambda one: one.decision.after)))
        unknown = self._settle([ended for ended in ours if ended.decision.settlement is not None])
        for ended in ours:
            if ended not in unknown:
                self._count(ended)
        return unknown

    def _one_by_one(self, batch: Sequence[Ended], error: Exception) -> None:
        """Something in the batch is refused: the others must not suffer for it."""
        if len(batch) == 1:
            log.error("job %s: %s could not be carried out: %s", batch[0].run.envelope.id, batch[0].decision.label, error)
            return
        for ended in batch:
            self.carry_out([ended])

    def _write_records(self, batch: Sequence[Ended]) -> list[Ended]:
        """Those of the batch that may go on: plain jobs, and those whose record was still ours."""
        writing = [ended for ended in batch if ended.decision.record is not None]
        writes = [ended.decision.record for ended in writing if ended.decision.record is not None]
        answers = self._insist(lambda: records.put(self._workshop.backend.store, writes)) if writes else []
        lost = {id(ended) for ended, written in zip(writing, answers, strict=True) if not self._won(ended, written)}
        return [ended for ended in batch if id(ended) not in lost]

    def _won(self, ended: Ended, written: Written) -> bool:
        if written.answer is Answer.YES:
            return True
        log.warning("job %s: its record belongs to another run now; this outcome is dropped", ended.run.envelope.id)
        self._workshop.counts.add(ended.run.envelope.type, "lost", _duration(self._workshop, ended.run))
        return False

    def _settle(self, batch: Sequence[Ended]) -> list[Ended]:
        settlements = [ended.decision.settlement for ended in batch if ended.decision.settlement is not None]
        if not settlements:
            return []
        answers = self._insist(lambda: self._workshop.backend.transport.settle(settlements))
        return [ended for ended, settled in zip(batch, answers, strict=True) if not self._is_certain(ended, settled)]

    def _is_certain(self, ended: Ended, settled: Settled) -> bool:
        """Whether there is nothing more to do about a settlement."""
        if settled.answer is Answer.YES or (settled.answer is Answer.LOST and ended.repeated):
            return True  # lost after unknown is the first try's success, or a lapse that harms no more than one
        if settled.answer is Answer.UNKNOWN and not self._workshop.leaving.is_set() and not ended.run.lost.is_set():
            return False
        log.warning(
            "job %s: %s, but the broker says %s %s: it may run again",
            ended.run.envelope.id, ended.decision.label, settled.answer.value, settled.reason,
        )  # fmt: skip
        return True

    def _insist(self, call: Callable[[], T]) -> T:
        """*call*, again and again while the backend cannot be reached; heartbeats keep the leases meanwhile."""
        while True:
            try:
                result = call()
            except (Unavailable, Uncertain) as error:
                if self._workshop.leaving.is_set():
                    raise GaveUp from error
                self._patience.failed(error, self._workshop.leaving)
            else:
                self._patience.succeeded()
                return result

    def _count(self, ended: Ended) -> None:
        envelope, label, reason = ended.run.envelope, ended.decision.label, ended.decision.reason
        self._workshop.counts.add(envelope.type, label, _duration(self._workshop, ended.run))
        if label == "dead":
            log.error("job %s (%s) is dead: %s", envelope.id, envelope.type, reason)
        elif label == "retried":
            log.info("job %s (%s) failed and is tried again: %s", envelope.id, envelope.type, reason)


def _duration(workshop: Workshop, run: Run) -> float | None:
    return None if run.started_at is None else (run.ended_at or workshop.backend.clock.steady()) - run.started_at


def _once(batch: Sequence[Ended], writes: Callable[[Ended], Sequence[Write]]) -> list[Write]:
    """All the batch's writes of one kind, one per key."""
    return list({write.key: write for ended in batch for write in writes(ended)}.values())
