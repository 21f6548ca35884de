"""Decisions: for every outcome, kind of job and broker, the job is in one place afterwards, and nothing is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit import Policy, RetryPolicy, codec, decision, failures, records, tracking
from jobkit.decision import Case, Decision, decide
from jobkit.enqueueing import ROOM_FOR_FAILURES
from jobkit.envelope import WIRE_VERSION, Envelope, Failure, Step
from jobkit.outcome import Discarded, Expired, Failed, HandedBack, Outcome, Snoozed, Success, UnknownType
from jobkit.records import JobRecord, Stored
from jobkit.retry import FailedAttempt
from jobkit.store import Expect, Record, Write
from jobkit.tracking import Verdict
from jobkit.transport import Again, Delivery, Done, Message, TransportCapabilities

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BASE = TransportCapabilities(
    name="test", durable=True, shared=True, atomic_again=True, atomic_successors=True, single_delivery=True,
    fence="broker", transactional=False, exact_counts=True, knows_age=True,
    max_delay=float("inf"), max_lease=1e6, max_body=1_000_000,
)  # fmt: skip

CAPABILITIES = st.builds(
    attrs.evolve,
    st.just(BASE),
    atomic_again=st.booleans(),
    atomic_successors=st.booleans(),
    max_delay=st.sampled_from([0.0, 900.0, float("inf")]),
)
DELAYS = st.sampled_from([0.0, 1.0, 899.0, 900.0, 901.0, 86400.0])
TEXTS = st.sampled_from(["", "short", "ä" * 3000, "\x00" * 6000, "x" * 10_000])
KINDS = st.sampled_from([("builtins.ValueError", "builtins.Exception"), ("jobkit.errors.JobTimeout",)])
FAILED = st.builds(
    lambda kinds, message, text, after, final: Failed(
        kinds, failures.fit(message, 2048), failures.fit(text, 5120), after, final
    ),
    KINDS, TEXTS, TEXTS, st.none() | DELAYS, st.booleans(),
)  # fmt: skip
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Success, st.none() | st.just(b'{"r":1}')),
    FAILED,
    st.builds(Snoozed, DELAYS),
    st.builds(Discarded, TEXTS),
    st.just(Expired()),
    st.just(UnknownType()),
    st.just(HandedBack()),
)
POLICIES: st.SearchStrategy[Policy] = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 12),
    delays=st.lists(DELAYS, min_size=1, max_size=3),
    jitter=st.sampled_from([0, 0.5]),
)
FAILURES = st.integers(0, 12).map(
    lambda count: tuple(
        Failure(at=NOW, attempt=number + 1, error="E", message="m" * 200, traceback="t" * 800)
        for number in range(min(count, 10))
    )
)
STEP = Step(id="next", type="follow", queue="q", args=msgspec.Raw(b'{"own":2}'), result_as="value")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A job as a worker holds it: plain, tracked, redelivered with a record, or in custody."""
    kind = draw(st.sampled_from(["plain", "tracked", "custody", "record expired"]))
    known = draw(FAILURES)
    envelope = Envelope(
        v=WIRE_VERSION,
        id="job",
        type="work",
        queue="default",
        args=msgspec.Raw(b'{"a":1}'),
        enqueued_at=NOW - timedelta(hours=1),
        spent=len(known),
        failures=known,
        tracked=kind != "plain",
        generation=draw(st.integers(0, 3)) if kind != "plain" else 0,
        successors=draw(st.sampled_from([(), (STEP,), (msgspec.structs.replace(STEP, delay=3600.0),)])),
        unknown_since=draw(st.sampled_from([None, NOW - timedelta(minutes=1), NOW - timedelta(hours=2)])),
    )
    body = codec.encode(envelope)[:-1] + b',"from_the_future":[1]}'
    delivery = Delivery(message=envelope.message(body), receives=draw(st.integers(1, 3)), lease_until=0, receipt=None)
    stored = None
    if kind in ("tracked", "custody"):
        record = records.of(
            envelope,
            "custody" if kind == "custody" else "running",
            track=draw(st.booleans()),
            spent=envelope.spent + draw(st.integers(0, 2)),
            worker="me",
            lease_until=NOW + timedelta(seconds=30),
        )
        stored = Stored(record, body if kind == "custody" else None, "v7")
    return Case(
        envelope=envelope,
        delivery=None if kind == "custody" else delivery,
        stored=stored,
        policy=draw(POLICIES),
        track=draw(st.booleans()),
        result_ttl=60,
        unknown_type_for=3600,
        worker="me",
        now=NOW,
        capabilities=draw(CAPABILITIES),
        largest_result=1000,
    )


@attrs.frozen
class After:
    """What a decision leaves behind."""

    record: JobRecord | None
    stored_body: bytes | None
    again: Message | None
    then: tuple[Message, ...]

    @property
    def kept(self) -> bytes | None:
        """The job's bytes, wherever they are."""
        return self.stored_body if self.again is None else self.again.body


def stored_of(write: Write) -> Stored:
    assert write.value is not None
    return records.parse(Record(write.value, "v8"))


def after(made: Decision) -> After:
    stored = None if made.record is None else stored_of(made.record)
    settlement = made.settlement
    return After(
        None if stored is None else stored.record,
        None if stored is None else stored.body,
        settlement.message if isinstance(settlement, Again) else None,
        tuple(settlement.then) if isinstance(settlement, Done) else (),
    )


ENDS = (Success, Discarded, Expired)


@given(cases(), OUTCOMES)
def test_a_job_is_kept_in_one_place_or_has_ended(case: Case, outcome: Outcome) -> None:
    """Never both settled and kept by the broker, never in two places, never in none."""
    found = after(decide(case, outcome))
    places = [found.again is not None, found.stored_body is not None]
    assert sum(places) == (0 if isinstance(outcome, ENDS) else 1)
    if found.record is not None:
        expected = {"ended"} if isinstance(outcome, ENDS) else {"sent"} if found.again else {"parked", "dead"}
        assert found.record.state in expected
    else:
        assert case.stored is None
        assert found.again is not None or isinstance(outcome, ENDS)


@given(cases(), OUTCOMES)
def test_the_broker_is_told_exactly_where_it_holds_the_job(case: Case, outcome: Outcome) -> None:
    made = decide(case, outcome)
    assert (made.settlement is None) == (case.delivery is None)
    if made.settlement is not None:
        assert made.settlement.delivery is case.delivery


@given(cases(), OUTCOMES)
def test_the_record_is_compared_with_what_was_read(case: Case, outcome: Outcome) -> None:
    made = decide(case, outcome)
    if made.record is not None:
        assert made.record.expect == (Expect.ABSENT if case.stored is None else case.stored.version)
    assert made.record is not None or case.stored is None


@given(cases(), OUTCOMES)
def test_the_generation_rises_exactly_where_the_store_takes_the_job_to_send_it_anew(case: Case, outcome: Outcome) -> None:
    found = after(decide(case, outcome))
    rises = found.record is not None and found.record.state == "parked"
    generation = case.envelope.generation + (1 if rises else 0)
    assert found.record is None or found.record.generation == generation
    if found.kept is not None:
        kept = codec.decode(found.kept)
        assert kept.generation == generation
        assert (
            kept.tracked
            or not (rises or case.stored is not None)
            or (found.record is not None and found.record.state == "dead")
        )


@given(cases(), OUTCOMES)
def test_a_second_copy_never_comes_from_a_broker_that_cannot_replace_at_once(case: Case, outcome: Outcome) -> None:
    found = after(decide(case, outcome))
    if found.again is not None and not case.capabilities.atomic_again:
        before = codec.decode(case.delivery.message.body) if case.delivery else case.envelope
        kept = codec.decode(found.again.body)
        assert found.again.delay == 0
        assert (kept.spent, kept.failures, kept.unknown_since) == (before.spent, before.failures, before.unknown_since)


@given(cases(), OUTCOMES)
def test_a_message_stays_within_what_its_broker_takes(case: Case, outcome: Outcome) -> None:
    found = after(decide(case, outcome))
    for message in (*([found.again] if found.again else []), *found.then):
        assert 0 <= message.delay <= min(900, case.capabilities.max_delay)
    if found.again is not None and case.delivery is not None:
        old = case.delivery.message
        assert (found.again.id, found.again.queue) == (old.id, old.queue)


@given(cases(), OUTCOMES)
def test_spent_attempts_never_fall_and_rise_by_one_with_a_failure(case: Case, outcome: Outcome) -> None:
    before = tracking.spent(case.envelope, case.stored)
    found = after(decide(case, outcome))
    expected = before + 1 if isinstance(outcome, Failed) else None
    if found.record is not None:
        assert found.record.spent == expected or (expected is None and found.record.spent >= case.envelope.spent)
    if found.again is not None:
        spent = codec.decode(found.again.body).spent
        assert spent == expected or (expected is None and spent >= case.envelope.spent)


@given(cases(), OUTCOMES)
def test_failures_grow_a_job_by_no_more_than_the_room_kept_for_them(case: Case, outcome: Outcome) -> None:
    original = len(codec.encode(case.envelope.replace(failures=()))) + len(b',"from_the_future":[1]')
    made = decide(case, outcome)
    found = after(made)
    if found.kept is not None:
        assert len(found.kept) <= original + ROOM_FOR_FAILURES
    if made.record is not None and made.record.value is not None:
        assert len(made.record.value) <= original + ROOM_FOR_FAILURES
    for write in made.after:
        assert len(write.value or b"") <= 4096


@given(cases(), OUTCOMES)
def test_what_a_newer_producer_wrote_stays_in_the_job(case: Case, outcome: Outcome) -> None:
    found = after(decide(case, outcome))
    if found.kept is not None:
        assert json.loads(found.kept)["from_the_future"] == [1]


@given(cases(), OUTCOMES)
def test_an_entry_is_written_exactly_where_its_record_names_it(case: Case, outcome: Outcome) -> None:
    made = decide(case, outcome)
    record = after(made).record
    if record is not None and record.state in ("parked", "dead"):
        collection = records.DUE if record.state == "parked" else records.DEAD
        assert [write.key for write in made.after] == [(collection, record.entry)]
    else:
        assert made.after == ()


@given(cases(), OUTCOMES)
def test_the_rest_of_a_chain_goes_on_once_after_a_success_and_only_then(case: Case, outcome: Outcome) -> None:
    made = decide(case, outcome)
    found = after(made)
    ways = [bool(found.then), bool(made.before)]
    goes_on = isinstance(outcome, Success) and bool(case.envelope.successors)
    assert sum(ways) == (1 if goes_on else 0)
    if found.then:
        following = codec.decode(found.then[0].body)
    elif made.before:
        body = stored_of(made.before[0]).body
        assert body is not None
        following = codec.decode(body)
        assert [write.key.collection for write in made.before] == [records.JOBS, records.DUE]
        assert made.before[0].expect is Expect.ABSENT
    else:
        return
    assert (following.id, following.parent) == ("next", "job")
    assert isinstance(outcome, Success)
    assert json.loads(bytes(following.args)) == {"own": 2, "value": json.loads(outcome.result or b"null")}


@given(cases(), OUTCOMES)
def test_the_same_case_gets_the_same_answer(case: Case, outcome: Outcome) -> None:
    one, two = decide(case, outcome), decide(case, outcome)
    assert one.label == two.label
    assert after(one).again == after(two).again
    assert after(one).then == after(two).then
    if one.record is not None:
        assert attrs.evolve(after(one), record=None) == attrs.evolve(after(two), record=None)


@given(cases(), OUTCOMES)
def test_a_crash_after_the_record_is_made_good_by_the_next_delivery(case: Case, outcome: Outcome) -> None:
    """What the next worker reads tells it to run the job again, or to settle it and write what was cut off."""
    made = decide(case, outcome)
    if made.record is None or case.delivery is None:
        return
    stored = stored_of(made.record)
    verdict = tracking.judge(stored, case.envelope, NOW + timedelta(minutes=5))
    if after(made).again is not None:
        assert verdict is Verdict.RUN
        assert tracking.spent(case.envelope, stored) == stored.record.spent
        return
    assert verdict is Verdict.OVER
    repeated = decision.void(stored, case.envelope, case.delivery, NOW, case.capabilities)
    assert repeated.record is None
    assert [write.key for write in repeated.after] == [write.key for write in made.after]
    assert after(repeated).then == after(made).then
    assert [write.key.collection for write in repeated.before] == [write.key.collection for write in made.before]
    assert isinstance(repeated.settlement, Done)


class Broken:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def next_delay(self, failed: FailedAttempt) -> float | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


def plain_case(**changes: Any) -> Case:
    envelope = Envelope(
        v=WIRE_VERSION, id="job", type="work", queue="default", args=msgspec.Raw(b"{}"), enqueued_at=NOW, **changes
    )
    return Case(
        envelope=envelope,
        delivery=Delivery(message=envelope.message(codec.encode(envelope)), receives=1, lease_until=0, receipt=None),
        stored=None,
        policy=RetryPolicy(),
        track=False,
        result_ttl=60,
        unknown_type_for=3600,
        worker="me",
        now=NOW,
        capabilities=BASE,
        largest_result=1000,
    )


FAILURE = Failed(("builtins.ValueError",), "no")


@pytest.mark.parametrize("answer", [RuntimeError("policy"), float("nan"), float("inf"), -5, "soon", object(), 1e300])
def test_a_policy_that_fails_or_answers_nonsense_does_not_keep_the_job_from_being_settled(answer: Any) -> None:
    made = decide(attrs.evolve(plain_case(), policy=Broken(answer)), FAILURE)
    assert made.label == "retried"
    again = after(made).again
    assert again is not None
    assert 1 <= again.delay <= 1.1


def test_a_policy_may_answer_a_duration_as_people_write_it() -> None:
    again = after(decide(attrs.evolve(plain_case(), policy=Broken("2m")), FAILURE)).again
    assert again is not None
    assert again.delay == 120


def test_a_handlers_own_delay_counts_and_the_last_attempt_is_the_last_all_the_same() -> None:
    asked = attrs.evolve(FAILURE, after=42.0)
    again = after(decide(plain_case(), asked)).again
    assert again is not None
    assert again.delay == 42
    assert decide(plain_case(spent=9), asked).label == "dead"
    assert decide(plain_case(), attrs.evolve(FAILURE, final=True)).label == "dead"


def test_the_plain_and_usual_job_never_touches_the_store() -> None:
    for outcome in (Success(), FAILURE, Snoozed(5), Discarded("x"), Expired(), UnknownType(), HandedBack()):
        made = decide(plain_case(), outcome)
        assert (made.before, made.record, made.after) == ((), None, ())


def test_an_unknown_type_rests_until_its_time_is_over_and_then_dies() -> None:
    first = after(decide(plain_case(), UnknownType())).again
    assert first is not None
    assert first.delay == decision.UNKNOWN_DELAY
    assert codec.decode(first.body).unknown_since == NOW
    late = decide(plain_case(unknown_since=NOW - timedelta(hours=1)), UnknownType())
    assert late.label == "dead"
    assert "no worker knew the type 'work' for 3600 s" in late.reason


def test_a_type_that_was_known_in_between_is_unknown_anew() -> None:
    again = after(decide(plain_case(unknown_since=NOW - timedelta(minutes=50)), FAILURE)).again
    assert again is not None
    assert codec.decode(again.body).unknown_since is None


def test_a_dead_letter_holds_the_bytes_as_delivered_and_every_failure() -> None:
    case = plain_case(spent=9)
    made = decide(case, FAILURE)
    found = after(made)
    assert case.delivery is not None
    assert found.stored_body == case.delivery.message.body
    assert found.record is not None
    assert (found.record.reason, found.record.spent) == ("no", 10)
    [failure] = found.record.failures
    assert (failure.attempt, failure.worker, failure.at) == (10, "me", NOW)
    entry = records.parse_dead(Record(made.after[0].value or b"", "v"))
    assert (entry.id, entry.type, entry.attempts, entry.died_at) == ("job", "work", 10, NOW)


def test_a_result_that_the_backend_cannot_keep_ends_the_job_as_dead_instead_of_running_it_again() -> None:
    made = decide(plain_case(successors=(STEP,)), Success(b'"' + b"x" * 2000 + b'"'))
    assert (made.label, made.before) == ("dead", ())
    found = after(made)
    assert found.then == ()
    assert found.record is not None
    assert "its result has 2002 bytes; this backend keeps 1000 at most" in found.record.reason


def test_a_copy_without_a_record_is_just_settled() -> None:
    case = plain_case()
    assert case.delivery is not None
    made = decision.void(None, case.envelope, case.delivery, NOW, BASE)
    assert (made.before, made.after) == ((), ())
    assert isinstance(made.settlement, Done)


def test_a_job_that_was_not_started_goes_back_as_it_came_but_for_the_mark_that_it_has_a_record() -> None:
    case = plain_case()
    assert case.delivery is not None
    settlement = decision.put_back(case.envelope, None, case.delivery, 3).settlement
    assert isinstance(settlement, Again)
    assert (settlement.message.body, settlement.message.delay) == (case.delivery.message.body, 3)
    stored = Stored(records.of(case.envelope, "running", track=False), None, "v")
    marked = decision.put_back(case.envelope, stored, case.delivery, 0).settlement
    assert isinstance(marked, Again)
    assert codec.decode(marked.message.body).tracked
