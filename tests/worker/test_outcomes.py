"""How runs end, through real worker processes: results, failures, time limits of all three kinds, steering by raise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobkit import Enqueued, JobFailed, NotTracked
from jobkit.transport import Message
from tests.worker import app_under_test as app
from tests.worker.shop import ROOT, Shop, wait_until


def test_results_and_progress_of_tracked_jobs_can_be_read(shop: Shop) -> None:
    plain, alone, together = app.tracked.enqueue(21), app.isolated.enqueue(1), app.asynchronous.enqueue(2)
    shop.burst()
    assert plain.wait(5) == 42
    status = plain.status()
    assert (status.state, status.outcome, status.attempts) == ("ended", "done", 1)
    assert status.progress is not None
    assert (status.progress.done, status.progress.total, status.progress.note) == (3, 3, "step 3")
    assert alone.wait(5).startswith("1 with state by ")
    assert together.wait(5) == "2 with state"


@pytest.mark.parametrize("name", ["too_long_in_thread", "too_long_async", "too_long_isolated"])
def test_a_run_that_exceeds_its_time_limit_fails_with_a_timeout(shop: Shop, name: str) -> None:
    enqueued: Enqueued[None] = shop.jobs.get(name).enqueue()
    shop.burst("--grace", "1")
    with pytest.raises(JobFailed, match="time limit"):
        enqueued.wait(5)
    assert shop.jobs.dead.show(enqueued.id).failures[0].error == "jobkit.errors.JobTimeout"


def test_a_crash_in_isolation_costs_the_attempt_and_nothing_else(shop: Shop) -> None:
    crashed = app.crash_isolated.enqueue()
    app.count.enqueue(1)
    shop.burst("--concurrency", "1")
    letter = shop.jobs.dead.show(crashed.id)
    assert letter.failures[0].error == "jobkit.errors.WorkerCrashed"
    assert "exit code 7" in letter.failures[0].message
    assert "ran 1" in shop.effects()


def test_a_crash_in_isolation_is_noticed_while_a_process_that_it_forked_lives(shop: Shop) -> None:
    crashed = app.crash_with_a_child_that_lives.enqueue()
    shop.start()
    with pytest.raises(JobFailed, match="exit code 7"):
        crashed.wait(12)


@pytest.mark.parametrize("name", ["speechless", "leave_async", "leave_async_isolated"])
def test_an_error_that_would_end_a_thread_fails_its_job_and_nothing_else(shop: Shop, name: str) -> None:
    failed = shop.jobs.get(name).enqueue()
    shop.burst("--concurrency", "1", "--grace", "1")
    with pytest.raises(JobFailed):
        failed.wait(5)
    beside = app.asynchronous.enqueue(1)
    shop.burst("--concurrency", "1")
    assert beside.wait(5) == "1 with state"


def test_a_handler_that_stops_the_event_loop_does_not_stop_the_others(shop: Shop) -> None:
    stopped, beside = app.stop_the_loop.enqueue(), app.asynchronous.enqueue(2)
    shop.burst("--grace", "1")
    assert (stopped.wait(5), beside.wait(5)) == ("went on", "2 with state")


def test_a_job_that_keeps_failing_is_dead_with_every_failure(shop: Shop) -> None:
    failed = app.fail.enqueue(4)
    worker = shop.start("--concurrency", "2")
    with pytest.raises(JobFailed, match="number 4 is refused"):
        failed.wait(30)
    assert shop.terminate(worker) == 0
    letter = shop.jobs.dead.show(failed.id)
    assert [failure.attempt for failure in letter.failures] == [1, 2, 3]
    assert all("raise ValueError" in failure.traceback for failure in letter.failures)
    assert shop.effects() == ["attempt 1", "attempt 2", "attempt 3"]


def test_handlers_steer_by_raising(shop: Shop) -> None:
    worker = shop.start("--concurrency", "2")
    assert app.steer.enqueue("retry").wait(30) == "retry"
    assert app.steer.enqueue("snooze").wait(30) == "snooze"
    with pytest.raises(JobFailed, match="not needed") as discarded:
        app.steer.enqueue("discard").wait(30)
    with pytest.raises(JobFailed, match="beyond help") as dead:
        app.steer.enqueue("dead").wait(30)
    assert shop.terminate(worker) == 0
    assert (discarded.value.state, dead.value.state) == ("discarded", "dead")
    noted = [effect for effect in shop.effects() if effect != "ran before"]
    # A retry spends an attempt, a snooze does not.
    assert noted == ["retry 1", "retry 2", "snooze 1", "snooze 1", "discard 1", "dead 1"]


def test_a_type_that_nobody_knows_is_kept_for_a_while_and_then_dies(shop: Shop) -> None:
    body = b'{"v":1,"id":"stranger","type":"nobody.knows","queue":"default","args":{},"enqueued_at":"2026-01-01T00:00:00Z"}'
    shop.jobs.backend.transport.send([Message(id="stranger", queue="default", body=body)])
    worker = shop.start()
    wait_until(lambda: shop.jobs.dead.count() == 1, "the stranger's death")
    assert shop.terminate(worker) == 0
    letter = shop.jobs.dead.show("stranger")
    assert "no worker knew the type 'nobody.knows'" in letter.reason


def test_a_body_that_cannot_be_decoded_is_dead_with_its_raw_bytes(shop: Shop) -> None:
    body = bytes(range(256))
    shop.jobs.backend.transport.send([Message(id="junk", queue="default", body=body)])
    app.count.enqueue(1)
    shop.burst()
    assert shop.jobs.dead.show("junk").body == body
    assert "ran 1" in shop.effects()


def test_waiting_needs_a_tracked_handler_on_every_backend(shop: Shop) -> None:
    with pytest.raises(NotTracked, match="track=True"):
        app.count.enqueue(1).wait(1)


def test_workers_report_what_they_did_by_type(shop: Shop) -> None:
    shop.jobs.enqueue_many([app.count.new(number) for number in range(5)])
    shop.burst()
    counts = [worker.types["count"] for worker in shop.jobs.workers() if "count" in worker.types]
    assert sum(one.done for one in counts) == 5


def test_the_start_of_an_isolated_handlers_process_does_not_count_against_its_time_limit(shop: Shop) -> None:
    body = (
        b'{"v":1,"id":"slow","type":"quick","queue":"default","args":{},"enqueued_at":"2026-01-01T00:00:00Z","tracked":true}'
    )
    shop.jobs.backend.transport.send([Message(id="slow", queue="default", body=body)])
    subprocess.run(
        [sys.executable, "-m", "jobkit", "worker", "tests.worker.slow_start:jobs", "--burst"],
        cwd=ROOT,
        env=shop.environment,
        check=True,
        timeout=60,
    )
    assert shop.jobs.status("slow").outcome == "done"


def test_a_process_that_a_handler_forks_and_lets_return_does_not_work_on(shop: Shop) -> None:
    forked = app.fork_and_return.enqueue()
    shop.jobs.enqueue_many([app.count.new(number) for number in range(20)])
    shop.burst("--concurrency", "1")
    assert forked.wait(5) == "parent"
    assert sorted(shop.effects()) == sorted(f"ran {number}" for number in range(20))
