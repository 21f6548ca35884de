"""
What follows from how a run ended: one pure function, from values to values.

No I/O, no clock and no randomness of its own, so the same case always gets the same answer, on every backend and in
simulation. The worker carries it out in the order of `Decision`: a crash in between repeats what was cut off.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from jobkit import codec, failures, records, tracking
from jobkit.durations import seconds
from jobkit.envelope import Envelope, Failure, successor
from jobkit.errors import TooLarge
from jobkit.outcome import Discarded, Expired, Failed, HandedBack, Outcome, Snoozed, Success, UnknownType, class_names
from jobkit.records import JobRecord, Stored
from jobkit.retry import DEFAULT_POLICY, FailedAttempt, Policy
from jobkit.store import Expect, Write
from jobkit.transport import Again, Delivery, Done, Message, Settlement, TransportCapabilities

PARK_BEYOND = 900.0
"""Delays beyond 15 minutes are parked on every backend, so that they can be listed, cancelled and moved alike."""

UNKNOWN_DELAY = 15.0
"""How long a job of an unknown type rests before a worker looks at it again: a deploy may be under way."""


@attrs.frozen(kw_only=True)
class Case:
    """
    A delivery and all that is known of it when its run has ended.

    Attributes:
        delivery: None in custody: no broker holds the job any more.
        stored: The job's record as this worker wrote or read it; None for a plain job.
        unknown_type_for: Seconds for which a job of an unknown type is kept alive.
        largest_result: Bytes that the backend can keep of a result, and pass on to the next job of a chain.
    """

    envelope: Envelope
    delivery: Delivery | None
    stored: Stored | None
    policy: Policy
    track: bool
    result_ttl: float
    unknown_type_for: float
    worker: str
    now: datetime
    capabilities: TransportCapabilities
    largest_result: int


@attrs.frozen(kw_only=True)
class Decision:
    """
    What to do, in this order.

    Attributes:
        label: For counting: done, retried, dead, snoozed, discarded, expired, unknown_type or handed_back.
        before: Writes that make sure of what follows; finding them done already is well.
        record: The write that decides, by compare-and-set: whoever loses it leaves the job alone.
        after: Index entries, which point to the record.
        settlement: What the broker is told at last; None where no broker holds the job.
        reason: For the log.
    """

    label: str
    before: tuple[Write, ...] = ()
    record: Write | None = None
    after: tuple[Write, ...] = ()
    settlement: Settlement | None = None
    reason: str = ""


def decide(case: Case, outcome: Outcome) -> Decision:
    """What follows from *outcome*."""
    match outcome:
        case Success(result=result):
            return _succeed(case, result)
        case Failed():
            return _fail(case, outcome)
        case Snoozed(after=after, reason=reason):
            return _again(case, tracking.caught_up(case.envelope, case.stored), after, "snoozed", reason)
        case Discarded(reason=reason):
            return _end(case, "discarded", reason)
        case Expired():
            return _end(case, "expired", "not started in time")
        case UnknownType():
            return _unknown_type(case)
        case HandedBack():
            return _again(case, tracking.caught_up(case.envelope, case.stored), 0.0, "handed_back", "")


def plain_success(delivery: Delivery) -> Decision:
    """The usual end, decided without a `Case`: nothing is recorded of it, and nothing follows from it."""
    return Decision(label="done", settlement=Done(delivery))


def void(
    stored: Stored | None, envelope: Envelope, delivery: Delivery, now: datetime, capabilities: TransportCapabilities
) -> Decision:
    """For a copy that must not run: settle it, and repeat what a crash may have cut off after its record was written."""
    if stored is None:
        return Decision(label="void", settlement=Done(delivery))
    record = stored.record
    if record.outcome == "done" and record.generation == envelope.generation:
        result = None if record.result is None else record.result.encode()
        before, then = _follow(envelope, result, now, capabilities)
        return Decision(label="void", before=before, settlement=Done(delivery, then))
    return Decision(label="void", after=_entry(envelope.id, record), settlement=Done(delivery))


def _entry(job_id: str, record: JobRecord) -> tuple[Write, ...]:
    """The index entry that *record* names."""
    if record.state == "dead":
        return (records.dead_entry(job_id, record),)
    if record.state in ("parked", "custody") and record.entry:
        return (records.due_entry(job_id, record.entry),)
    return ()


def put_back(envelope: Envelope, stored: Stored | None, delivery: Delivery, delay: float) -> Decision:
    """For a job that was not started here: somebody else shall have it, as if it had never been here."""
    tracked = envelope.tracked or stored is not None
    original = delivery.message.body
    body = original if tracked == envelope.tracked else codec.encode(envelope.replace(tracked=tracked), original)
    message = attrs.evolve(delivery.message, body=body, delay=delay)
    return Decision(label="handed_back", settlement=Again(delivery, message))


def failed(error: BaseException, *, after: float | None = None, final: bool = False) -> Failed:
    """The outcome of a run that raised *error*; its texts are cut in the middle, where they say the least."""
    message = _said(lambda: str(error), "its __str__ failed")
    text = _said(lambda: "".join(traceback.format_exception(error)), "its traceback could not be written")
    return Failed(
        class_names(type(error)),
        failures.fit(message, failures.MESSAGE),
        failures.fit(text, failures.TRACEBACK),
        after,
        final,
    )


def _said(say: Callable[[], str], otherwise: str) -> str:
    """A text that a user's code makes. An error that cannot say what it is, is still an error, whatever it raises then."""
    try:
        return say()
    except BaseException:  # noqa: BLE001 - SystemExit there would end the thread that must settle the job
        return otherwise


def _succeed(case: Case, result: bytes | None) -> Decision:
    if result is not None and len(result) > case.largest_result:
        # Its end could never be written, so it would come back and run again and again.
        text = f"its result has {len(result)} bytes; this backend keeps {case.largest_result} at most"
        return _fail(case, failed(TooLarge(text), final=True))
    if case.delivery is None:
        before, then = _follow(case.envelope, result, case.now, None)
    else:
        before, then = _follow(case.envelope, result, case.now, case.capabilities)
    return _end(case, "done", "", result, then=then, before=before)


def _follow(
    envelope: Envelope, result: bytes | None, now: datetime, capabilities: TransportCapabilities | None
) -> tuple[tuple[Write, ...], tuple[Message, ...]]:
    """
    How the rest of the chain goes on: what is to be written before the end, and what the broker sends with it.

    Where the broker cannot send it with the end of this job (None: it does not hold this job), the store takes it first,
    under an id that makes repeats void.
    """
    following = successor(envelope, result, now)
    if following is None:
        return (), ()
    job, delay = following
    body = codec.encode(job)
    if capabilities is not None and delay <= _longest_delay(capabilities) and len(body) <= capabilities.max_body:
        return (), (job.message(body, delay),)
    return park_new(job, now + timedelta(seconds=delay)), ()


def _end(
    case: Case,
    how: str,
    reason: str,
    result: bytes | None = None,
    then: tuple[Message, ...] = (),
    before: tuple[Write, ...] = (),
) -> Decision:
    return Decision(
        label=how,
        before=before,
        record=_ended(case, how, reason, result),
        settlement=None if case.delivery is None else Done(case.delivery, then),
        reason=reason,
    )


def _ended(case: Case, how: str, reason: str, result: bytes | None) -> Write | None:
    if case.stored is None:
        return None
    record = case.stored.record.replace(
        state="ended",
        outcome=how,
        reason=_short(reason),
        ended_at=case.now,
        lease_until=None,
        due=None,
        result=None if result is None else result.decode(),
    )
    ttl = max(case.result_ttl, records.ENDED_TTL)
    return records.write(case.envelope.id, record, expect=case.stored.version, ttl=ttl)


def _fail(case: Case, outcome: Failed) -> Decision:
    attempt = tracking.spent(case.envelope, case.stored) + 1
    envelope = case.envelope.replace(
        spent=attempt,
        failures=failures.with_failure(tracking.failures(case.envelope, case.stored), _failure(case, outcome, attempt)),
        unknown_since=None,  # its type is known by now
    )
    delay = None if outcome.final else _retry_delay(case, outcome, attempt)
    if delay is None:
        return _bury(case, envelope, outcome.message or outcome.kinds[0])  # its class stands in the failure
    return _again(case, envelope, delay, "retried", f"{outcome.kinds[0]}: {outcome.message}")


def _failure(case: Case, outcome: Failed, attempt: int) -> Failure:
    return Failure(
        at=case.now,
        attempt=attempt,
        error=outcome.kinds[0],
        message=outcome.message,
        traceback=outcome.traceback,
        worker=case.worker,
    )


def _retry_delay(case: Case, outcome: Failed, attempt: int) -> float | None:
    seen = FailedAttempt(
        attempt=attempt,
        kinds=outcome.kinds,
        message=outcome.message,
        enqueued_at=case.envelope.enqueued_at,
        now=case.now,
        random=random.Random(f"{case.envelope.id}:{attempt}"),
    )
    delay = _ask(case.policy, seen)
    return delay if delay is None or outcome.after is None else outcome.after


def _ask(policy: Policy, seen: FailedAttempt) -> float | None:
    """What the policy says. One that fails itself, or says what is no delay, must not keep the job from being settled."""
    try:
        delay = policy.next_delay(seen)
        return None if delay is None else seconds(delay, "next_delay()")
    except Exception:  # noqa: BLE001 - a user's code
        return DEFAULT_POLICY.next_delay(seen)


def _bury(case: Case, envelope: Envelope, reason: str) -> Decision:
    """Dead: the record first, with the body as it was delivered and every failure; then its entry; then the broker."""
    record = records.of(
        envelope,
        "dead",
        track=case.track or (case.stored is not None and case.stored.record.track),
        reason=_short(reason),
        ended_at=case.now,
        worker=case.worker,
        entry=records.instant_name(case.now, envelope.id),
    )
    return Decision(
        label="dead",
        record=records.write(envelope.id, record, _body(case, case.envelope), expect=expected(case.stored)),
        after=(records.dead_entry(envelope.id, record),),
        settlement=None if case.delivery is None else Done(case.delivery),
        reason=reason,
    )


def _unknown_type(case: Case) -> Decision:
    envelope = tracking.caught_up(case.envelope, case.stored)
    since = envelope.unknown_since or case.now
    known_for = (case.now - since).total_seconds()
    if known_for >= case.unknown_type_for:
        return _bury(case, envelope, f"no worker knew the type {envelope.type!r} for {known_for:.0f} s")
    rest = min(UNKNOWN_DELAY, max(0.05, case.unknown_type_for - known_for))
    return _again(case, envelope.replace(unknown_since=since), rest, "unknown_type", envelope.type)


def _again(case: Case, envelope: Envelope, delay: float, label: str, reason: str) -> Decision:
    """
    Later: through the broker where one atomic step does it, else through the store.

    A copy that is put back unchanged is no second one to a broker that can give a message back, so it may always be.
    """
    changed = delay > 0 or envelope is not case.envelope
    if (
        case.delivery is None
        or delay > _longest_delay(case.capabilities)
        or (changed and not case.capabilities.atomic_again)
    ):
        return _park(case, envelope, delay, label, reason)
    envelope = envelope.replace(tracked=envelope.tracked or case.stored is not None)
    old = case.delivery.message
    message = Message(id=old.id, queue=old.queue, body=_body(case, envelope), delay=delay)
    record = None
    if case.stored is not None:
        sent = case.stored.record.replace(
            state="sent", spent=envelope.spent, failures=envelope.failures, lease_until=None, worker=""
        )
        record = records.write(envelope.id, sent, expect=case.stored.version, ttl=records.SENT_TTL)
    return Decision(label=label, record=record, settlement=Again(case.delivery, message), reason=reason)


def _park(case: Case, envelope: Envelope, delay: float, label: str, reason: str) -> Decision:
    """The store takes the job over: a new generation, so that the broker's copy is void should it come back."""
    due = case.now + timedelta(seconds=delay)
    envelope = envelope.replace(generation=envelope.generation + 1, tracked=True, due=due)
    record = records.of(
        envelope,
        "parked",
        track=case.track or (case.stored is not None and case.stored.record.track),
        due=due,
        entry=records.instant_name(due, envelope.id),
    )
    return Decision(
        label=label,
        record=records.write(envelope.id, record, _body(case, envelope), expect=expected(case.stored)),
        after=(records.due_entry(envelope.id, record.entry),),
        settlement=None if case.delivery is None else Done(case.delivery),
        reason=reason,
    )


def park_new(envelope: Envelope, due: datetime, *, track: bool = False) -> tuple[Write, Write]:
    """The writes that park a job which no broker has seen: its record with the body, then the entry that points to it."""
    envelope = envelope.replace(tracked=True, due=due)
    record = records.of(envelope, "parked", track=track, due=due, entry=records.instant_name(due, envelope.id))
    body = codec.encode(envelope)
    return (
        records.write(envelope.id, record, body, expect=Expect.ABSENT),
        records.due_entry(envelope.id, record.entry),
    )


def _body(case: Case, envelope: Envelope) -> bytes:
    original = _original(case)
    if original is not None and envelope is case.envelope:
        return original
    return codec.encode(envelope, original)


def _original(case: Case) -> bytes | None:
    """The bytes that the envelope was read from; in custody the store has them."""
    if case.delivery is not None:
        return case.delivery.message.body
    return None if case.stored is None else case.stored.body


def expected(stored: Stored | None) -> str | Expect:
    """What the write that decides requires: that nobody has written since."""
    return Expect.ABSENT if stored is None else stored.version


def _short(reason: str) -> str:
    return failures.fit(reason, failures.SHORT)


def _longest_delay(capabilities: TransportCapabilities) -> float:
    return min(capabilities.max_delay, PARK_BEYOND)
