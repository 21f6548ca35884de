"""CON-3: how a worker ends."""

from __future__ import annotations

from jobkit import parking
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import PHYSICAL, Shop, Worker
from jobkit_contract.steps import GRACE, LONG, expect, expect_equal, take

AT_ONCE = 5.0
"""Seconds that count as at once on a busy machine; every lease here is far longer."""


def _busy(bench: Bench, *, seconds: float, grace: float) -> tuple[Shop, Worker]:
    """A worker with one slot, in which a job runs for so many *seconds*; five more are held and have not begun."""
    shop = Shop(bench)
    shop.jobs.get("hold").enqueue(seconds)
    shop.jobs.enqueue_many([shop.jobs.get("attempt").new(number) for number in range(5)])
    worker = shop.killable(concurrency=1, ahead=6, grace=grace, lease=LONG)
    shop.notes.wait("hold began, attempt 1")
    return shop, worker


@CONTRACT.check("CON-3", plane=Plane.WORKER, limit=60)
def unstarted_work_is_handed_back_at_once(bench: Bench) -> None:
    """
    While one job still runs in its grace time, the jobs that were fetched beside it are there for others; it ends, is
    done, and the worker is gone. Handed back is as if never fetched: attempt 1, and nothing is left on loan.
    """
    shop, worker = _busy(bench, seconds=4.0, grace=30.0)
    stopping = bench.start(worker.stop)
    loans = take(bench, bench.transport(), 5)
    expect_equal(shop.notes.count("hold ended"), 0, "ends of the running job, when the others were back")
    expect_equal({loan.receives for loan in loans}, {1}, "receives of what was handed back")
    stopping.result(GRACE)
    expect_equal(shop.notes.count("hold ended"), 1, "ends of the job that ran in the grace time")
    expect(not any(note.startswith("attempt") for note in shop.notes.all()), "a job was started after the stop")
    left = [each for each in shop.transport.depth(PHYSICAL) if (each.leased or 0) > (5 if each.queue == "jobs" else 0)]
    expect_equal(left, [], "loans beside the five that this check holds")


@CONTRACT.check("CON-3", plane=Plane.WORKER, limit=60)
def the_grace_time_is_respected_and_no_longer(bench: Bench) -> None:
    """A job that outlasts the grace time is handed back, not lost and not failed: another worker begins attempt 1."""
    shop = Shop(bench)
    shop.jobs.get("hold").enqueue(3.0)
    worker = shop.worker(concurrency=1, grace=1.0)
    shop.notes.wait("hold began, attempt 1")
    took = worker.stop(1.0)
    expect(took >= 0.95, f"a grace time of 1 s was over after {took:.2f} s")
    expect_equal(shop.notes.count("hold ended"), 0, "ends of a job that outlasts the grace time")
    shop.worker(concurrency=1)
    shop.notes.wait("hold began, attempt 1", 2)
    shop.wait_at_rest(within=3.0)
    shop.nothing_left()
    expect_equal(shop.jobs.dead.count(), 0, "dead letters")


@CONTRACT.check("CON-3", plane=Plane.WORKER)
def an_idle_worker_stops_at_once_and_lets_go_of_everything(bench: Bench) -> None:
    """A worker that waits for jobs ends within seconds, and the lead over parked jobs is free for others at once."""
    shop = Shop(bench)
    worker = shop.worker(grace=LONG)
    shop.jobs.get("attempt").enqueue(1)
    shop.notes.wait("attempt 1 of 1")
    bench.sleep(1.5)
    took = worker.stop()
    expect(took < AT_ONCE, f"an idle worker took {took:.1f} s to stop")
    expect_equal(shop.store.get([parking.LEADER]), [None], "the record of the lead")
    shop.nothing_left()
