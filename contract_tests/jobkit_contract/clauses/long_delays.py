"""DLY-2: delays that no broker keeps."""

from __future__ import annotations

from datetime import timedelta

from jobkit import JobKit, Snooze, current_job, records
from jobkit.clock import steady
from jobkit.store import Write
from jobkit_contract.around import Later, ShortDelay, WatchedStore
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import PHYSICAL, Shop, wait_until
from jobkit_contract.staff import local
from jobkit_contract.steps import EARLY, GRACE, expect, expect_equal

DAY = 86400.0


def _app() -> JobKit:
    jobs = JobKit()
    seen: set[str] = set()

    @jobs.handler(queue="jobs", track=True)
    @local
    def remind(name: str) -> str:
        if name == "twice" and name not in seen:
            seen.add(name)
            raise Snooze(30 * DAY)
        return f"{name}, attempt {current_job().attempt}"

    return jobs


@CONTRACT.check("DLY-2", plane=Plane.WORKER, limit=60)
def thirty_days_are_kept(bench: Bench) -> None:
    """
    A 30-day delay is accepted, kept where it does not expire, listed in order of time, and left alone by a worker; a
    worker whose store's clock has come to that day runs it, and not one whose clock is a minute short of it.
    """
    kept: list[Write] = []
    shop = Shop(bench, _app(), store=lambda inner: WatchedStore(inner, kept.append))
    remind = shop.jobs.get("remind")
    jobs = {days: remind.using(delay=days * DAY).enqueue("once") for days in (40, 30, 20)}
    expect(all(write.ttl is None for write in kept), "a parked job is to be kept without an end; it was given one")
    expect_equal([job.status().state for job in jobs.values()], ["parked"] * 3, "states")
    listed = [records.parse_due(entry).id for _, entry in shop.store.scan(records.DUE, limit=10)]
    expect_equal(listed, [jobs[days].id for days in (20, 30, 40)], "what is parked, in order of time")
    due = jobs[30].status().due
    expected = shop.store.now() + timedelta(days=30)
    expect(due is not None and abs((due - expected).total_seconds()) < GRACE, f"due {due}, expected {expected}")
    in_broker = [each for each in shop.transport.depth(PHYSICAL) if each.ready or each.leased]
    expect_equal(in_broker, [], "messages that are due")
    early = shop.worker()
    almost = shop.worker(store=lambda inner: Later(inner, 30 - 60 / DAY))
    wait_until(lambda: jobs[20].status().outcome == "done", "a job that was due ten days ago", within=12.0)
    bench.sleep(1.5)
    expect_equal([jobs[days].status().state for days in (30, 40)], ["parked"] * 2, "states of what is not due")
    early.stop()
    almost.stop()
    shop.worker(store=lambda inner: Later(inner, 30.001))
    wait_until(lambda: jobs[30].status().outcome == "done", "a job that was due", within=2.0)
    expect_equal(jobs[40].status().state, "parked", "state of a job that is due in ten days")


@CONTRACT.check("DLY-2", plane=Plane.WORKER, limit=60)
def a_delay_beyond_the_brokers_longest_is_kept_to_the_second(bench: Bench) -> None:
    """Over a broker that takes no delay beyond half a second, longer ones are over in time, and not before it."""
    shop = Shop(bench, _app(), transport=lambda inner: ShortDelay(inner, 0.5))
    remind = shop.jobs.get("remind")
    shop.worker(transport=lambda inner: ShortDelay(inner, 0.5))
    begun = {delay: (steady(), remind.using(delay=delay).enqueue("once")) for delay in (2.3, 1.1, 0.3)}
    waiting = dict(begun)
    while waiting:
        for delay, (sent, job) in list(waiting.items()):
            ended = job.status().finished
            took = steady() - sent
            expect(took >= delay - EARLY or not ended, f"a delay of {delay} s was over after {took:.2f} s")
            expect(took < delay + bench.capabilities.lease_slack + GRACE, f"a delay of {delay} s was not over in time")
            if ended:
                del waiting[delay]
        bench.sleep(0.02)
    shop.nothing_left()


@CONTRACT.check("DLY-2", plane=Plane.WORKER, limit=60)
def a_month_of_snoozing_is_kept_and_spends_nothing(bench: Bench) -> None:
    """A running job that asks for 30 days more is parked, and then runs as the first attempt that it is."""
    shop = Shop(bench, _app())
    job = shop.jobs.get("remind").enqueue("twice")
    today = shop.worker()
    wait_until(lambda: job.status().state == "parked", "the job to be parked")
    bench.sleep(1.2)
    expect_equal(job.status().state, "parked", "state while it is not due")
    today.stop()
    shop.worker(store=lambda inner: Later(inner, 30.001))
    expect_equal(job.wait(2.0 + GRACE), "twice, attempt 1", "its result")
    shop.nothing_left()
