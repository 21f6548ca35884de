"""What a crash may cost: nothing lost, and run twice only what was running, or had ended without being settled yet."""

from __future__ import annotations

import os
import signal
from collections import Counter

from tests.worker import app_under_test as app
from tests.worker.shop import Shop, wait_until

JOBS = 5000
LEASE = "2"


def test_no_job_is_lost_when_worker_groups_are_killed_in_the_middle(shop: Shop) -> None:
    for start in range(0, JOBS, 1000):
        shop.jobs.enqueue_many([app.count.new(number) for number in range(start, start + 1000)])
    for goal in (300, 1500, 3000):
        worker = shop.start("--lease", LEASE, "--concurrency", "4")
        shop.wait_for_effects(goal)
        shop.kill(worker)
    shop.burst("--lease", LEASE)

    runs = Counter(shop.effects())
    assert set(runs) == {f"ran {number}" for number in range(JOBS)}
    assert shop.at_rest()
    assert shop.jobs.dead.count() == 0
    repeated = {effect for effect, times in runs.items() if times > 1}
    assert repeated <= _last_of_each_process(shop, 3000)


def test_two_workers_share_the_work_and_run_nothing_twice(shop: Shop) -> None:
    shop.jobs.enqueue_many([app.count.new(number) for number in range(2000)])
    workers = [shop.start("--burst", "--concurrency", "4") for _ in range(2)]
    assert [worker.wait(90) for worker in workers] == [0, 0]
    assert sorted(shop.effects()) == sorted(f"ran {number}" for number in range(2000))


def test_a_job_that_kills_its_process_dies_and_its_neighbours_do_not(shop: Shop) -> None:
    shop.jobs.enqueue_many([app.count.new(number) for number in range(20)])
    killer = app.die.enqueue(1)
    shop.jobs.enqueue_many([app.count.new(number) for number in range(20, 40)])
    worker = shop.start("--lease", "1", "--concurrency", "1")
    wait_until(lambda: killer.status().state == "dead" and shop.at_rest(), "the killer's death and everybody else's end")
    assert shop.terminate(worker) == 0
    [dead] = shop.jobs.dead.list()
    assert (dead.id, dead.error) == (killer.id, "jobkit.errors.WorkerCrashed")
    assert shop.effects().count("died 1") == 2
    assert {effect for effect in shop.effects() if effect.startswith("ran")} == {f"ran {number}" for number in range(40)}


def test_a_frozen_worker_loses_its_job_and_does_not_settle_it_when_it_thaws(shop: Shop) -> None:
    app.work.enqueue(1, seconds=0.5)
    frozen = shop.start("--lease", "1", "--concurrency", "1")
    wait_until(lambda: "began 1" in shop.effects(), "the job's start")
    os.killpg(frozen.pid, signal.SIGSTOP)
    other = shop.start("--lease", "1", "--concurrency", "1")
    wait_until(lambda: "ran 1" in shop.effects() and shop.at_rest(), "the other worker's success")
    os.killpg(frozen.pid, signal.SIGCONT)
    wait_until(lambda: shop.effects().count("ran 1") == 2, "the thawed run's end")
    assert [shop.terminate(worker) for worker in (frozen, other)] == [0, 0]
    assert shop.effects().count("began 1") == 2
    assert shop.at_rest()
    assert shop.jobs.dead.count() == 0


def test_a_crashed_worker_process_is_replaced_by_its_supervisor(shop: Shop) -> None:
    worker = shop.start("--lease", "1", "--concurrency", "1")
    app.die.enqueue(1)
    wait_until(lambda: "died 1" in shop.effects(), "the crash")
    app.count.enqueue(7)
    wait_until(lambda: "ran 7" in shop.effects(), "a new process's work")
    assert shop.terminate(worker) == 0


def test_worker_processes_end_when_their_supervisor_was_killed(shop: Shop) -> None:
    worker = shop.start("--concurrency", "1")
    app.work.enqueue(1, seconds=0.01)
    wait_until(lambda: "ran 1" in shop.effects(), "the process to work")
    child = int(shop.raw_effects()[0].rsplit(" ", 1)[1])
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), "the orphan's end")
    app.count.enqueue(2)
    shop.burst()
    assert "ran 2" in shop.effects()


def _last_of_each_process(shop: Shop, most: int) -> set[str]:
    """What each process did last, so much as it may hold unsettled at once."""
    by_process: dict[str, list[str]] = {}
    for line in shop.raw_effects():
        effect, process = line.rsplit(" ", 1)
        by_process.setdefault(process, []).append(effect)
    return {effect for effects in by_process.values() for effect in effects[-most:]}
