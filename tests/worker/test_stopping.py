"""SIGTERM: no more fetching, unstarted jobs back at once, running ones get their grace time; nothing stays on loan."""

from __future__ import annotations

import signal

from tests.worker import app_under_test as app
from tests.worker.shop import Shop, wait_until


def test_a_running_job_ends_within_the_grace_time_and_the_waiting_ones_go_back(shop: Shop) -> None:
    shop.jobs.enqueue_many([app.work.new(number, seconds=0.5) for number in range(5)])
    worker = shop.start("--concurrency", "1", "--grace", "20")
    wait_until(lambda: "began 0" in shop.effects(), "the first job's start")
    assert shop.terminate(worker) == 0
    assert "ran 0" in shop.effects()
    [stats] = [one for one in shop.jobs.stats() if one.queue == "default"]
    assert (stats.ready, stats.delayed, stats.leased) == (4, 0, 0)


def test_a_job_that_outlasts_the_grace_time_is_handed_back_without_spending_an_attempt(shop: Shop) -> None:
    app.work.enqueue(1, seconds=30)
    worker = shop.start("--concurrency", "1", "--grace", "0.2")
    wait_until(lambda: "began 1" in shop.effects(), "the job's start")
    assert shop.terminate(worker) == 0
    [stats] = [one for one in shop.jobs.stats() if one.queue == "default"]
    assert (stats.ready, stats.leased) == (1, 0)


def test_a_second_signal_ends_a_worker_at_once(shop: Shop) -> None:
    app.work.enqueue(1, seconds=60)
    worker = shop.start("--concurrency", "1", "--grace", "60")
    wait_until(lambda: "began 1" in shop.effects(), "the job's start")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in shop.log(), "the first signal's arrival")
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    assert "ran 1" not in shop.effects()


def test_ctrl_c_in_the_terminal_stops_as_gently_as_a_signal_to_the_supervisor(shop: Shop) -> None:
    import os

    app.work.enqueue(1, seconds=0.5)
    worker = shop.start("--concurrency", "1", "--grace", "20")
    wait_until(lambda: "began 1" in shop.effects(), "the job's start")
    os.killpg(worker.pid, signal.SIGINT)  # a terminal signals the whole group
    assert worker.wait(30) == 0
    assert "ran 1" in shop.effects()
