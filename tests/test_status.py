"""What can be asked about a job, and waiting for its end; and how much lies where."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from jobkit import (
    Dead,
    Discard,
    InvalidResult,
    JobFailed,
    JobKit,
    NotFound,
    NotTracked,
    Snooze,
    WaitTimeout,
    current_job,
    records,
    stats,
)
from jobkit.job import Job
from jobkit.queues import PRIORITIES
from jobkit.store import Key, Write
from jobkit.testing import TestBench

NOW = datetime(2026, 1, 1, tzinfo=UTC)

jobs = JobKit()
during: list[Callable[[], None]] = []


@jobs.handler(track=True)
def tracked(value: int) -> int:
    for look in during:
        look()
    return value * 2


@jobs.handler(track=True)
def ends(how: str) -> None:
    if how == "discarded":
        raise Discard("not needed")
    if how == "dead":
        raise Dead("beyond help")
    if current_job().redelivered or how == "snoozed":
        raise Snooze(1000)


@jobs.handler(track=True)
def liar() -> int:
    return "text"  # type: ignore[return-value]


@jobs.handler(track=True)
def reporter(done: float) -> None:
    current_job().progress(done, 10, "note")


@jobs.handler
def plain() -> None: ...


@pytest.fixture
def bench() -> Iterator[TestBench]:
    during.clear()
    with jobs.test() as bench:
        yield bench


def test_a_job_is_sent_then_running_then_ended(bench: TestBench) -> None:
    enqueued = tracked.enqueue(4)
    status = enqueued.status()
    assert (status.state, status.outcome, status.attempts, status.finished) == ("sent", "", 0, False)
    assert (status.type, status.queue, status.result) == ("tracked", "default", None)
    seen = []
    during.append(lambda: seen.append(enqueued.status()))
    bench.run()
    assert (seen[0].state, seen[0].attempts, seen[0].started_at) == ("running", 1, bench.clock.now())
    assert seen[0].worker
    status = jobs.status(enqueued.id)
    assert (status.state, status.outcome, status.attempts, status.result) == ("ended", "done", 1, b"8")
    assert status.finished
    assert status.ended_at == bench.clock.now()
    assert enqueued.wait(1) == 8
    assert asyncio.run(enqueued.await_result(1)) == 8


def test_a_parked_job_says_when_it_is_due(bench: TestBench) -> None:
    status = tracked.using(delay="1h").enqueue(1).status()
    assert status.state == "parked"
    assert status.due is not None
    assert (status.due - bench.clock.now()).total_seconds() == 3600


@pytest.mark.parametrize(("how", "reason"), [("discarded", "not needed"), ("dead", "beyond help")])
def test_waiting_for_a_job_that_ended_otherwise_says_how_and_why(bench: TestBench, how: str, reason: str) -> None:
    enqueued = ends.enqueue(how)
    bench.run()
    with pytest.raises(JobFailed, match=reason) as caught:
        enqueued.wait(1)
    assert caught.value.state == how
    assert enqueued.status().attempts == 1


def test_a_job_that_was_not_started_in_time_has_expired(bench: TestBench) -> None:
    enqueued = ends.using(expires="10s").enqueue("x")
    bench.advance(11)
    with pytest.raises(JobFailed) as caught:
        enqueued.wait(1)
    assert caught.value.state == "expired"
    assert enqueued.status().attempts == 0


def test_waiting_ends_with_its_time_and_the_job_goes_on(bench: TestBench) -> None:
    enqueued = tracked.enqueue(1)
    before = time.monotonic()
    with pytest.raises(WaitTimeout, match=r"has not ended within 0\.05 s"):
        enqueued.wait(0.05)
    assert time.monotonic() - before < 5
    bench.run()
    assert enqueued.wait(0) == 2


def test_who_waits_is_told_soon_after_the_end(bench: TestBench) -> None:
    enqueued = tracked.enqueue(1)
    threading.Timer(0.1, bench.run).start()
    assert enqueued.wait(10) == 2


def test_a_snoozed_job_has_spent_nothing(bench: TestBench) -> None:
    enqueued = ends.enqueue("snoozed")
    bench.run()
    assert (enqueued.status().state, enqueued.status().attempts) == ("parked", 0)


def test_a_result_of_another_type_is_an_error_of_its_own(bench: TestBench) -> None:
    enqueued = liar.enqueue()
    bench.run()
    with pytest.raises(InvalidResult, match=r"liar\(\)"):
        enqueued.wait(1)


def test_untracked_jobs_cannot_be_asked_whatever_the_backend_happens_to_know(bench: TestBench) -> None:
    enqueued = plain.using(delay="1h").enqueue()
    for ask in (enqueued.status, lambda: enqueued.wait(1), lambda: jobs.status(enqueued.id)):
        with pytest.raises(NotTracked, match="track=True"):
            ask()
    with pytest.raises(NotFound, match="nobody"):
        jobs.status("nobody")


def test_the_last_job_of_a_chain_can_be_waited_for_before_it_has_a_record(bench: TestBench) -> None:
    chain = tracked.new(1).then(tracked).enqueue()
    with pytest.raises(NotFound):
        chain.status()
    with pytest.raises(WaitTimeout):
        chain.wait(0)
    bench.run()
    assert chain.wait(1) == 4


def test_progress_is_read_with_the_status(bench: TestBench) -> None:
    enqueued = reporter.enqueue(3)
    bench.run()
    progress = enqueued.status().progress
    assert progress is not None
    assert (progress.done, progress.total, progress.note, progress.at) == (3, 10, "note", bench.clock.now())


def test_a_progress_that_is_no_number_is_refused() -> None:
    """It would be written as null, and then the status could not be read any more."""
    job = Job(
        id="a", type="t", queue="q", attempt=1, redelivered=False, enqueued_at=NOW, headers={}, report=lambda *_: None
    )  # fmt: skip
    for done, total in ((float("nan"), None), (float("inf"), 1), (1, float("nan"))):
        with pytest.raises(ValueError, match="finite"):
            job.progress(done, total)
    job.progress(1, None)


def test_there_is_no_current_job_outside_of_one() -> None:
    with pytest.raises(LookupError, match="no job is running here"):
        current_job()


def test_stats_count_by_queue_what_the_broker_and_the_store_hold(bench: TestBench) -> None:
    for priority in PRIORITIES:
        plain.using(priority=priority).enqueue()
    plain.using(delay=5).enqueue()
    plain.using(delay="1h").enqueue()
    plain.using(queue="other", delay="1h").enqueue()
    bench.clock.advance(2)
    [default] = jobs.stats(["default"])
    assert (default.ready, default.delayed, default.leased, default.dead, default.oldest_age) == (3, 2, 0, 0, 2)
    [other] = jobs.stats(["other"])
    assert (other.ready, other.delayed, other.oldest_age) == (0, 1, None)
    [unknown] = jobs.stats(["nobody"])
    assert (unknown.ready, unknown.delayed, unknown.dead) == (0, 0, 0)


def test_stats_count_dead_letters_by_queue(bench: TestBench) -> None:
    ends.enqueue("dead")
    bench.run()
    assert [(one.queue, one.dead) for one in jobs.stats()] == [("default", 1)]


def test_beyond_what_can_be_told_apart_a_figure_is_unknown(bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "COUNTED", 2)
    for _ in range(3):
        plain.using(delay="1h").enqueue()
    [one] = jobs.stats(["default"])
    assert (one.delayed, one.dead) == (None, 0)


def test_a_record_of_progress_alone_is_no_job(bench: TestBench) -> None:
    jobs.backend.store.put([Write(Key(records.PROGRESS, "a"), b"{}")])
    with pytest.raises(NotFound):
        jobs.status("a")
