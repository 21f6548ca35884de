"""Faults that only a worker shows: in the core itself, or in a line at a place where nothing else looks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from jobkit import JobKit, codec, records
from jobkit.dead_letters import DeadLetters
from jobkit.decision import Decision
from jobkit.errors import Unavailable
from jobkit.memory import MemoryAdapter, MemoryStore, MemoryTransport
from jobkit.outcome import Discarded, Failed, HandedBack, Outcome, Snoozed, Success
from jobkit.store import Key, Record, Write, Written
from jobkit.transport import Again, Delivery, Done, Message, Settled, Settlement
from jobkit.worker.engine import Engine
from jobkit.worker.runs import Run
from jobkit.worker.settling import Ended, GaveUp, decided
from jobkit_contract.around import AroundStore
from jobkit_contract.clause import Plane
from jobkit_contract.mutants.bank import fault
from jobkit_contract.mutants.faults.sending import Meddling
from jobkit_contract.mutants.faults.settling import AgainKeepsBody

worker_fault = partial(fault, plane=Plane.WORKER)

ENDED_BADLY = Failed(("builtins.RuntimeError", "builtins.Exception"), "as if it had failed")


class CoreFault(MemoryAdapter):
    """The reference adapter; the fault is in the app or the engine that works on it. `jobkit_contract.shop` asks for it."""

    def tamper(self, part: JobKit | Engine) -> None:
        if isinstance(part, Engine):
            self.spoil_engine(part)
        else:
            self.spoil_app(part)

    def spoil_engine(self, engine: Engine) -> None: ...
    def spoil_app(self, jobs: JobKit) -> None: ...


class Misjudges(CoreFault):
    """Takes one outcome for another."""

    def judge(self, outcome: Outcome) -> Outcome:
        return outcome

    def spoil_engine(self, engine: Engine) -> None:
        end = engine._end
        setattr(engine, "_end", lambda run, outcome: end(run, outcome and self.judge(outcome)))  # noqa: B010


class SpoilsRecords(MemoryStore):
    """Writes job records after *spoil* has had their header."""

    def spoil(self, header: dict[str, Any]) -> None: ...

    def spoil_body(self, body: bytes) -> bytes:
        return body

    def put(self, writes: Sequence[Write]) -> list[Written]:
        return super().put([self._spoilt(write) for write in writes])

    def _spoilt(self, write: Write) -> Write:
        if write.key.collection != records.JOBS or write.value is None:
            return write
        head, line_feed, body = write.value.partition(b"\n")
        header = json.loads(head)
        self.spoil(header)
        return attrs.evolve(write, value=json.dumps(header).encode() + line_feed + self.spoil_body(body))


@worker_fault("forgets loans that lapse", "DLV-1")
class ForgetsLapsed(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        now = self._clock.steady()
        for jobs in (self._queue(name).jobs for name in queues):
            for name in [name for name, job in jobs.items() if job.token is not None and job.lease_until <= now]:
                del jobs[name]
        return super()._claim(queues, limit, lease)


@worker_fault("drops the chain behind a job", "DLV-1")
class DropsChains(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        return super()._settle_one(Done(settlement.delivery) if isinstance(settlement, Done) else settlement)


@worker_fault("takes the discarded for the dead", "DLV-1")
class BuriesDiscarded(Misjudges):
    def judge(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(ENDED_BADLY, final=True) if isinstance(outcome, Discarded) else outcome


@worker_fault("works by a clock that is a month ahead", "DLY-2")
class MonthAhead(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        backend = engine._workshop.backend
        now = backend.now
        setattr(backend, "now", lambda: now() + timedelta(days=31))  # noqa: B010


@worker_fault("never looks at what is parked", "DLY-2")
class NeverPromotes(MemoryStore):
    def scan(self, collection: str, **rest: Any) -> list[tuple[str, Record]]:
        return [] if collection == records.DUE else super().scan(collection, **rest)


@worker_fault("cuts a month to a second", "DLY-2")
class CutsSnoozes(Misjudges):
    def judge(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, after=min(outcome.after, 1.0)) if isinstance(outcome, Snoozed) else outcome


@worker_fault("keeps parked jobs for a day", "DLY-2")
class ParkedExpire(CoreFault):
    def spoil_app(self, jobs: JobKit) -> None:
        store = jobs.backend.store
        jobs.backend.store = Expiring(store, lambda write: b'"state":"parked"' in (write.value or b""))


class Expiring(AroundStore):
    """Gives an end to the records that it is told to."""

    def __init__(self, inner: Any, which: Callable[[Write], bool]) -> None:
        super().__init__(inner)
        self._which = which

    def put(self, writes: Sequence[Write]) -> list[Written]:
        return super().put([attrs.evolve(write, ttl=86400.0) if self._which(write) else write for write in writes])


worker_fault("forgets the attempts that were spent", "RTY-1")(type("ForgetsAttempts", (AgainKeepsBody,), {}))


class ForgetsRunning(SpoilsRecords):
    """A run that began is not remembered, so a crash is nothing that has happened."""

    def spoil(self, header: dict[str, Any]) -> None:
        if header["state"] == "running":
            header["state"] = "sent"


worker_fault("counts no crash", "RTY-1")(ForgetsRunning)
worker_fault("lets a job kill for ever", "RTY-5")(ForgetsRunning)


@worker_fault("forgets at the start what was decided before", "RTY-1")
class ForgetsDecided(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        if header["state"] == "sent":
            header.pop("spent", None)
            header.pop("failures", None)


@worker_fault("spends an attempt on a snooze", "RTY-2")
class SnoozeSpends(Misjudges):
    def judge(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(ENDED_BADLY, after=outcome.after) if isinstance(outcome, Snoozed) else outcome


@worker_fault("spends an attempt on a shutdown", "RTY-2")
class ShutdownSpends(Misjudges):
    def judge(self, outcome: Outcome) -> Outcome:
        return ENDED_BADLY if isinstance(outcome, HandedBack) else outcome


@worker_fault("spends an attempt on what was only fetched", "RTY-2")
class PrefetchSpends(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        close, settler, workshop = engine._buffer.close, engine._settler, engine._workshop

        def spend() -> list[Run]:
            for run in close():
                settler.add(run, decided(workshop, run, ENDED_BADLY))
            return []

        setattr(engine._buffer, "close", spend)  # noqa: B010


@worker_fault("is in a hurry to retry", "RTY-3")
class CutsRetries(MemoryTransport):
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return super().settle([self._sooner(one) if isinstance(one, Again) else one for one in settlements])

    @staticmethod
    def _sooner(again: Again) -> Again:
        return Again(again.delivery, attrs.evolve(again.message, delay=again.message.delay * 0.8))


@worker_fault("takes the discarded for the done", "RTY-4")
class DiscardedIsDone(Misjudges):
    def judge(self, outcome: Outcome) -> Outcome:
        return Success(b"null") if isinstance(outcome, Discarded) else outcome


@worker_fault("has one word for two ends", "RTY-4")
class OneWord(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        if header.get("outcome") == "expired":
            header["outcome"] = "discarded"


@worker_fault("forgets when a job expires", "RTY-4")
class NeverExpires(Meddling):
    def meddle(self, message: Message) -> Message:
        body = codec.encode(codec.decode(message.body).replace(expires_at=None))
        return attrs.evolve(message, body=body)


@worker_fault("buries what was handed out three times", "RTY-5")
class BuriesByCount(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        admission, workshop = engine._fetcher._admission, engine._workshop
        admit = admission.admit

        def bury(deliveries: Sequence[Delivery]) -> Any:
            admitted = admit(deliveries)
            final = attrs.evolve(ENDED_BADLY, final=True)
            often = [run for run in admitted.run if run.delivery and run.delivery.receives >= 3]
            buried = [(run, decided(workshop, run, final)) for run in often]
            return type(admitted)([run for run in admitted.run if run not in often], [*admitted.decided, *buried])

        setattr(admission, "admit", bury)  # noqa: B010


@worker_fault("drops a decision when the store is down", "RTY-6")
class GivesUp(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        def once(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except Unavailable as error:
                raise GaveUp from error

        setattr(engine._settler, "_insist", once)  # noqa: B010


@worker_fault("never takes custody", "RTY-7")
class NoCustody(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        setattr(engine._heartbeat, "_take_custody", lambda held: None)  # noqa: B010


@worker_fault("takes custody for parking", "RTY-7")
class CustodyIsParking(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        if header["state"] == "custody":
            header["state"] = "parked"


@worker_fault("settles before the dead record is written", "DLQ-1")
class SettlesFirst(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        settler = engine._settler
        carry_out = settler._try

        def settle_first(batch: Sequence[Ended]) -> Sequence[Ended]:
            dead = [ended for ended in batch if ended.decision.label == "dead"]
            settler._settle(dead)
            rest = [
                attrs.evolve(ended, decision=attrs.evolve(ended.decision, settlement=None)) if ended in dead else ended
                for ended in batch
            ]
            return carry_out(rest)

        setattr(settler, "_try", settle_first)  # noqa: B010


@worker_fault("leaves the dead in the broker", "DLQ-1")
class LeavesTheDead(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        settle = engine._settler._settle
        setattr(  # noqa: B010
            engine._settler, "_settle", lambda batch: settle([one for one in batch if one.decision.label != "dead"])
        )


@worker_fault("encodes dead letters anew", "DLQ-2")
class EncodesAnew(SpoilsRecords):
    def spoil_body(self, body: bytes) -> bytes:
        return json.dumps(json.loads(body)).encode() if body else body


@worker_fault("keeps only the last failure", "DLQ-2")
class KeepsLast(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        header["failures"] = header.get("failures", [])[-1:]


@worker_fault("cuts tracebacks away", "DLQ-2")
class NoTracebacks(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        for failure in header.get("failures", []):
            failure.pop("traceback", None)


@worker_fault("lists the dead by their ids", "DLQ-3")
class ByIds(MemoryStore):
    def scan(self, collection: str, **rest: Any) -> list[tuple[str, Record]]:
        found = super().scan(collection, **rest)
        return sorted(found, key=lambda one: one[0].partition("/")[2][::-1]) if collection == records.DEAD else found


@worker_fault("does not filter by queue", "DLQ-3")
class NoFilter(CoreFault):
    def spoil_app(self, jobs: JobKit) -> None:
        listed = jobs.dead.list
        setattr(jobs.dead, "list", lambda queue=None, **rest: listed(**rest))  # noqa: B010


class BadReplays(CoreFault):
    """Replays in a way of its own."""

    kind: type[DeadLetters]

    def spoil_app(self, jobs: JobKit) -> None:
        jobs.dead = self.kind(lambda: jobs.backend)


@worker_fault("erases a dead letter before it sends", "DLQ-4")
class ErasesFirst(BadReplays):
    class kind(DeadLetters):  # noqa: N801
        def _replay(self, job_id: str) -> str:
            backend = self._open()
            [stored] = records.read(backend.store, [job_id])
            if stored is None or stored.record.state != "dead" or stored.body is None:
                return "not found"
            envelope = codec.decode(stored.body).replace(spent=0, failures=stored.record.failures)
            backend.store.put([Write(Key(records.DEAD, stored.record.entry), None)])
            backend.store.put([Write(records.job_key(job_id), None)])
            backend.transport.send([envelope.message(codec.encode(envelope))])
            return "replayed"


@worker_fault("erases the death that follows a replay", "DLQ-4")
class ErasesWhatFollows(BadReplays):
    class kind(DeadLetters):  # noqa: N801
        def _replay(self, job_id: str) -> str:
            answer = super()._replay(job_id)
            time.sleep(0.3)
            self._purge(job_id)
            return answer


@worker_fault("says of everything that it was replayed", "DLQ-4")
class SaysReplayed(BadReplays):
    class kind(DeadLetters):  # noqa: N801
        def _replay(self, job_id: str) -> str:
            super()._replay(job_id)
            return "replayed"


@worker_fault("goes on counting after a replay", "DLQ-4")
class CountsOn(SpoilsRecords):
    def spoil(self, header: dict[str, Any]) -> None:
        if header["state"] in ("running", "sent", "parked") and header.get("failures"):
            header["spent"] = max(failure["attempt"] for failure in header["failures"])


@worker_fault("keeps the latest four hundred dead", "DLQ-6")
class Trims(MemoryStore):
    def put(self, writes: Sequence[Write]) -> list[Written]:
        answers = super().put(writes)
        over = self.count(records.DEAD, limit=10_000) - 400
        if over > 0:
            names = [name for name, _ in self.scan(records.DEAD, limit=over)]
            super().put([Write(Key(records.DEAD, name), None) for name in names])
        return answers


@worker_fault("keeps the dead for a day", "DLQ-6")
class DeadExpire(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        backend = engine._workshop.backend
        backend.store = Expiring(backend.store, lambda write: b'"state":"dead"' in (write.value or b""))


@worker_fault("drops what it can not decode", "DLQ-7")
class DropsUnreadable(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        admission = engine._fetcher._admission

        def drop(admitted: Any, delivery: Delivery, envelope: Any, *rest: Any) -> None:
            gone = Decision(label="dead", settlement=Done(delivery))
            admitted.decided.append((admission._run(delivery, envelope, None, None), gone))

        setattr(admission, "_bury_raw", drop)  # noqa: B010


@worker_fault("keeps the unreadable as text", "DLQ-7")
class UnreadableAsText(SpoilsRecords):
    def spoil_body(self, body: bytes) -> bytes:
        return body.decode(errors="replace").encode()


@worker_fault("buries unknown types at once", "DLQ-7")
class BuriesUnknown(CoreFault):
    def spoil_app(self, jobs: JobKit) -> None:
        jobs.unknown_type_for = 0.0


@worker_fault("serves low before high", "ORD-1")
class Inverted(MemoryTransport):
    def receive(self, queues: Sequence[str], **rest: Any) -> list[Delivery]:
        return super().receive(queues[::-1], **rest)


@worker_fault("lets low starve", "ORD-1")
class Starves(MemoryTransport):
    def receive(self, queues: Sequence[str], **rest: Any) -> list[Delivery]:
        rank = {"high": 0, "low": 2}
        return super().receive(sorted(queues, key=lambda name: rank.get(name.rpartition("--")[2], 1)), **rest)


@worker_fault("keeps what it has not started", "CON-3")
class KeepsUnstarted(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        close = engine._buffer.close
        setattr(engine._buffer, "close", lambda: close()[:0])  # noqa: B010


@worker_fault("has no grace", "CON-3")
class NoGrace(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        workshop = engine._workshop
        workshop.settings = attrs.evolve(workshop.settings, grace=0.0)


@worker_fault("has all the grace in the world", "CON-3")
class AllTheGrace(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        workshop = engine._workshop
        workshop.settings = attrs.evolve(workshop.settings, grace=60.0)


@worker_fault("leads on when it has gone", "CON-3")
class LeadsOn(CoreFault):
    def spoil_engine(self, engine: Engine) -> None:
        setattr(engine._leadership, "release", lambda: None)  # noqa: B010


@worker_fault("drops fields that it does not know", "OPS-3")
class DropsUnknownFields(MemoryTransport):
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return super().settle([self._known(one) if isinstance(one, Again) else one for one in settlements])

    @staticmethod
    def _known(again: Again) -> Again:
        body = codec.encode(codec.decode(again.message.body))
        return Again(again.delivery, attrs.evolve(again.message, body=body))


@worker_fault("spells arguments in its own way", "OPS-3")
class SpellsAnew(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, body=json.dumps(json.loads(message.body)).encode())


@worker_fault("calls the queue by another name", "OPS-3")
class OtherFormat(Meddling):
    def meddle(self, message: Message) -> Message:
        fields = json.loads(message.body)
        return attrs.evolve(message, body=json.dumps({**fields, "queue_name": fields["queue"]}).encode())
