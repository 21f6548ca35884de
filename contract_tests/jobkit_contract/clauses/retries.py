"""RTY: attempts, and what does and does not spend one."""

from __future__ import annotations

import threading

import attrs

from jobkit import Dead, Discard, JobKit, Retry, RetryPolicy, Snooze, current_job
from jobkit.clock import steady
from jobkit.retry import FailedAttempt, Policy
from jobkit_contract.around import AroundStore, Greedy, ShortDelay, ShortLease, Switch, Unsettling
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import Shop, Worker, wait_until
from jobkit_contract.staff import TWICE, local
from jobkit_contract.steps import EARLY, GRACE, expect, expect_equal

KILLS = 2
"""The limit of the jobs that kill their workers: `staff.TWICE`."""


@CONTRACT.check("RTY-1", plane=Plane.WORKER, limit=60)
def attempts_are_counted_from_one(bench: Bench) -> None:
    """
    Plain and tracked jobs see attempt 1, 2, 3, 4, whether a retry goes through the broker or, being long, through the
    store; a snooze between them changes nothing; a replay begins with 1 again.
    """
    shop = Shop(bench, JobKit())
    seen: dict[str, list[int]] = {"plain": [], "tracked": []}
    delays = RetryPolicy(max_attempts=4, delays=[0.05, 0.9, 0.05], jitter=0)

    def fail(name: str) -> None:
        seen[name].append(current_job().attempt)
        if seen[name].count(2) == 1:
            raise Snooze(0.05)
        if seen[name].count(4) == 1 and seen[name][-1] == 3:
            return
        raise ValueError(name)

    for name in seen:
        shop.jobs.handler(name=name, queue="jobs", retry=delays, track=name == "tracked")(local(fail))
        shop.jobs.get(name).enqueue(name)
    shop.worker(transport=lambda inner: ShortDelay(inner, 0.5))
    wait_until(lambda: shop.jobs.dead.count() == 2, "both jobs to die", within=3.0, found=lambda: seen)
    expect_equal(seen, _both([1, 2, 2, 3, 4]), "attempts")
    letters = shop.jobs.dead.list()
    expect_equal([letter.attempts for letter in letters], [4, 4], "attempts of the dead letters")
    shop.jobs.dead.replay([letter.id for letter in letters])
    wait_until(lambda: all(len(runs) == 8 for runs in seen.values()), "the replayed jobs", within=3.0, found=lambda: seen)
    expect_equal(seen, _both([1, 2, 2, 3, 4, 1, 2, 3]), "attempts, replayed ones included")
    shop.wait_at_rest()


def _both(attempts: list[int]) -> dict[str, list[int]]:
    return {"plain": attempts, "tracked": attempts}


@CONTRACT.check("RTY-1", plane=Plane.WORKER, limit=60)
def a_crash_spends_an_attempt(bench: Bench) -> None:
    """A tracked job whose worker was killed in the middle of attempt 1 begins attempt 2, and has failed once."""
    shop = Shop(bench, JobKit())
    seen: list[int] = []

    @shop.jobs.handler(queue="jobs", retry=RetryPolicy(max_attempts=5, delays=[0.05]), track=True)
    @local
    def crash_once() -> str:
        seen.append(current_job().attempt)
        if len(seen) == 1:
            shop.workers[0].kill()
        return f"attempt {current_job().attempt}"

    job = crash_once.enqueue()
    shop.worker(lease=shop.lease)
    wait_until(lambda: seen, "the first attempt")
    shop.worker(lease=shop.lease)
    expect_equal(job.wait(3 * shop.lease + GRACE), "attempt 2", "result")
    expect_equal(seen, [1, 2], "attempts")
    expect_equal(job.status().attempts, 2, "attempts of its status")
    shop.wait_at_rest()


@CONTRACT.check("RTY-1", plane=Plane.WORKER, limit=60)
def a_retry_that_was_cut_off_counts_all_the_same(bench: Bench) -> None:
    """
    A worker is killed between the record of a failure and the broker's part in it: the next one begins attempt 2, keeps to
    that through a snooze, and the dead letter holds all three failures.
    """
    shop = Shop(bench, JobKit())
    broker = Switch("the broker, for settlements,")
    seen: list[int] = []

    @shop.jobs.handler(queue="jobs", retry=RetryPolicy(max_attempts=3, delays=[0.05]), track=True)
    @local
    def fail() -> None:
        seen.append(current_job().attempt)
        if seen == [1, 2]:
            raise Snooze(0.05)
        raise ValueError(f"attempt {seen[-1]}")

    job = fail.enqueue()
    broker.off()
    victim = shop.worker(lease=shop.lease, transport=lambda inner: Unsettling(inner, broker.check))
    wait_until(lambda: broker.refused, "the settlement", found=lambda: seen)
    victim.kill()
    shop.worker(lease=shop.lease)
    wait_until(lambda: shop.jobs.dead.count() == 1, "its death", within=2 * shop.lease, found=lambda: seen)
    expect_equal(seen, [1, 2, 2, 3], "attempts")
    failures = shop.jobs.dead.show(job.id).failures
    expect_equal([failure.message for failure in failures], ["attempt 1", "attempt 2", "attempt 3"], "failures")
    shop.wait_at_rest()


@CONTRACT.check("RTY-2", plane=Plane.WORKER, limit=60)
def snoozing_spends_no_attempt(bench: Bench) -> None:
    """A job whose policy gives it one attempt is snoozed five times, and still runs as attempt 1."""
    shop = Shop(bench, JobKit())
    seen: list[tuple[str, int]] = []

    def snooze(name: str) -> None:
        seen.append((name, current_job().attempt))
        if seen.count((name, 1)) <= 5:
            raise Snooze(0.02)

    for name in ("plain", "tracked"):
        once = RetryPolicy(max_attempts=1)
        shop.jobs.handler(name=name, queue="jobs", retry=once, track=name == "tracked")(local(snooze))
        shop.jobs.get(name).enqueue(name)
    shop.worker()
    wait_until(lambda: len(seen) >= 12, "twelve runs", within=1.0, found=lambda: seen)
    shop.wait_at_rest()
    expect_equal(sorted(seen), [("plain", 1)] * 6 + [("tracked", 1)] * 6, "runs")
    expect_equal(shop.jobs.dead.count(), 0, "dead letters")


@CONTRACT.check("RTY-2", plane=Plane.WORKER, limit=60)
def shutdown_and_prefetch_spend_no_attempt(bench: Bench) -> None:
    """
    Again and again a worker is stopped in the middle of one job, with others fetched beside it: whoever starts them in the
    end starts attempt 1, and each job has but that one.
    """
    shop = Shop(bench, JobKit())
    begun, release = threading.Semaphore(0), threading.Event()
    seen: list[tuple[int, int]] = []

    @shop.jobs.handler(queue="other", retry=RetryPolicy(max_attempts=1), track=True)
    @local
    def hold() -> int:
        begun.release()
        release.wait(GRACE)
        return current_job().attempt

    def note(number: int) -> None:
        seen.append((number, current_job().attempt))

    for name in ("plain", "tracked"):
        shop.jobs.handler(name=name, queue="jobs", retry=RetryPolicy(max_attempts=1), track=name == "tracked")(local(note))
    held = hold.using(priority="high").enqueue()
    shop.jobs.enqueue_many([shop.jobs.get(("plain", "tracked")[number % 2]).new(number) for number in range(8)])
    for _ in range(3):
        worker = shop.worker(concurrency=1, grace=0.0, transport=lambda inner: Greedy(inner, 9))
        expect(begun.acquire(timeout=GRACE), "the held job was to be started again, and was not")
        worker.stop()
    expect_equal(seen, [], "runs before the end")
    release.set()
    shop.worker()
    expect_equal(held.wait(GRACE), 1, "attempt of the job that was stopped three times")
    shop.wait_at_rest()
    expect_equal(sorted(seen), [(number, 1) for number in range(8)], "runs and attempts")


@CONTRACT.check("RTY-3", plane=Plane.WORKER, limit=60)
def the_same_policy_and_id_give_the_same_delays(bench: Bench) -> None:
    """Jittered delays are those that the job's id and attempt make them, here as everywhere, and are kept."""
    shop = Shop(bench, JobKit())
    policy = _Watched(RetryPolicy(max_attempts=4, first=0.25, factor=2, jitter=0.5))
    runs: list[tuple[float, int]] = []

    @shop.jobs.handler(name="contract.delays", queue="jobs", retry=policy)
    @local
    def fail() -> None:
        runs.append((steady(), current_job().attempt))
        raise ValueError("again")

    job = fail.new()
    job.id = "contract-delays-1"
    job.enqueue()
    shop.worker()
    wait_until(lambda: shop.jobs.dead.count() == 1, "the job to die", within=6.0, found=lambda: runs)
    expect_equal([round(delay, 6) for delay in policy.said], list(GOLDEN_DELAYS), "delays")
    for delay, (before, attempt), (after, _) in zip(policy.said, runs, runs[1:], strict=False):
        took = after - before
        expect(took >= delay - EARLY, f"the delay after attempt {attempt} was {delay:.3f} s, and over after {took:.3f} s")
        expect(took <= delay + bench.capabilities.lease_slack + GRACE, f"a delay of {delay:.1f} s took {took:.1f} s")


@attrs.define
class _Watched:
    """A policy, and the delays that it gave."""

    policy: Policy
    said: list[float] = attrs.field(factory=list)

    def next_delay(self, failed: FailedAttempt) -> float | None:
        delay = self.policy.next_delay(failed)
        if delay is not None:
            self.said.append(delay)
        return delay


GOLDEN_DELAYS = (0.273502, 0.5083, 1.284642)
"""What the policy and the id above give, to the microsecond."""


class Refused(Exception):
    """A card was refused."""


class RefusedForGood(Refused):
    """The account is closed."""


@CONTRACT.check("RTY-4", plane=Plane.WORKER, limit=60)
def every_way_to_end_has_a_state_of_its_own(bench: Bench) -> None:
    """Rules per exception, giving up, Retry, Discard, Dead and expiry: each job's attempts, state and reason are its own."""
    shop = Shop(bench, JobKit())
    rules: dict[type[BaseException], Policy] = {
        RefusedForGood: RetryPolicy(max_attempts=2, delays=[0.05]),
        Refused: RetryPolicy(max_attempts=3, delays=[0.05]),
    }
    policy = RetryPolicy(max_attempts=4, delays=[0.05], give_up_on=KeyError, rules=rules)
    raised: dict[str, BaseException | None] = {
        "returned": None,
        "failed": ValueError("as ever"),
        "refused": Refused("card"),
        "refused for good": RefusedForGood("account"),
        "given up": KeyError("gone"),
        "asked": Retry(after=0.05, reason="later"),
        "discarded": Discard("not needed"),
        "declared dead": Dead("beyond help"),
    }

    def steer(how: str) -> None:
        shop.notes(how)
        error = raised[how]
        if error is not None:
            raise error

    shop.jobs.handler(name="steer", queue="jobs", retry=policy, track=True)(local(steer))
    tracked = shop.jobs.get("steer")
    jobs = {how: tracked.enqueue(how) for how in raised}
    jobs["expired"] = tracked.using(expires=0.01).enqueue("expired")
    bench.sleep(0.1)
    shop.worker()
    wait_until(lambda: all(job.status().finished for job in jobs.values()), "all to end", found=shop.notes.all)
    seen = {how: (_state(shop, job.id), job.status().reason, shop.notes.count(how)) for how, job in jobs.items()}
    expect_equal(
        seen,
        {
            "returned": ("done", "", 1),
            "failed": ("dead", "as ever", 4),
            "refused": ("dead", "card", 3),
            "refused for good": ("dead", "account", 2),
            "given up": ("dead", "'gone'", 1),
            "asked": ("dead", "later", 4),
            "discarded": ("discarded", "not needed", 1),
            "declared dead": ("dead", "beyond help", 1),
            "expired": ("expired", "not started in time", 0),
        },
        "state, reason and runs",
    )
    shop.wait_at_rest()
    dead = {letter.id for letter in shop.jobs.dead.list()}
    expect_equal(dead, {job.id for how, job in jobs.items() if seen[how][0] == "dead"}, "dead letters")
    shop.nothing_left()


def _state(shop: Shop, job_id: str) -> str:
    return shop.ends([job_id])[job_id]


@CONTRACT.check("RTY-5", plane=Plane.WORKER, limit=120)
def a_job_that_kills_its_workers_dies_and_its_neighbours_do_not(bench: Bench) -> None:
    """
    A job kills each worker that runs it: after its limit it is a dead letter that names the crash, and the jobs that were
    fetched beside it and not started, time and again, are all done, at attempt 1.
    """
    shop = Shop(bench)
    kinds = ("tracked_killer",) if _in_processes(bench) else ("tracked_killer", "plain_killer")
    attempt = shop.jobs.get("attempt")
    shop.jobs.enqueue_many([attempt.new(number) for number in range(3)])
    killers = [shop.jobs.get(kind).enqueue() for kind in kinds]
    shop.jobs.enqueue_many([attempt.new(number) for number in range(3, 12)])
    worker: Worker | None = None
    # A plain job's first run is not marked, so that jobs which never crash cost nothing: it may kill once more.
    most = sum(KILLS + (kind == "plain_killer") for kind in kinds)
    deadline = steady() + (2 * shop.lease + 5) * most + GRACE
    while shop.jobs.dead.count() < len(killers):
        kills = sum(shop.notes.count(kind) for kind in kinds)
        expect(kills <= most, f"{kills} workers were killed; the limit was {KILLS} for each of {len(kinds)} jobs")
        expect(steady() < deadline, f"{kills} workers were killed, and then nothing came of it")
        if worker is None or worker.has_ended():
            worker = shop.killable(lease=shop.lease, concurrency=1, ahead=20)
        bench.sleep(0.05)
    letters = shop.jobs.dead.list()
    expect_equal({letter.id for letter in letters}, {killer.id for killer in killers}, "dead letters")
    expect_equal({letter.error for letter in letters}, {"jobkit.errors.WorkerCrashed"}, "errors of the dead letters")
    if worker is None or worker.has_ended():
        shop.killable(lease=shop.lease, concurrency=1)
    for number in range(12):
        shop.notes.wait(f"attempt 1 of {number}", within=2 * shop.lease)
    shop.wait_at_rest(within=2 * shop.lease)
    runs = {note for note in shop.notes.all() if note.startswith("attempt")}
    expect_equal(runs, {f"attempt 1 of {number}" for number in range(12)}, "runs of the neighbours")
    shop.nothing_left()


def _in_processes(bench: Bench) -> bool:
    return bench.capabilities.shared and bench.store_capabilities.shared


@CONTRACT.check("RTY-6", plane=Plane.WORKER, limit=60)
def no_handler_is_repeated_while_the_store_is_down(bench: Bench) -> None:
    """
    The store goes away, for longer than a lease, while jobs run that succeed, fail at first and fail for good: each decision
    waits for the store, and no handler is run for it again, neither by that worker nor by the other one.
    """
    shop = Shop(bench, JobKit())
    store, go = Switch("the store"), threading.Event()
    lease = 2 * shop.lease

    def end(how: str) -> None:
        shop.notes(f"{how} {current_job().attempt}")
        go.wait(GRACE)
        if how == "dead" or (how == "retried" and current_job().attempt == 1):
            raise ValueError(how)

    shop.jobs.handler(name="end", queue="jobs", retry=TWICE, track=True)(local(end))
    jobs = {how: shop.jobs.get("end").enqueue(how) for how in ("done", "retried", "dead")}
    shop.worker(lease=lease, concurrency=3, store=lambda inner: AroundStore(inner, store.check))
    shop.notes.wait_for_any(3)
    shop.worker(lease=lease, concurrency=3, store=lambda inner: AroundStore(inner, store.check))
    store.off()
    go.set()
    bench.sleep(1.5 * lease + bench.capabilities.lease_slack)
    expect(store.refused > 0, "the store was not asked while it was away, so this says nothing")
    expect_equal(sorted(shop.notes.all()), ["dead 1", "done 1", "retried 1"], "runs while the store was away")
    store.on()
    ids = [job.id for job in jobs.values()]
    wait_until(lambda: list(shop.ends(ids).values()) == ["done", "done", "dead"], "the ends", within=7.0)
    expect_equal(sorted(shop.notes.all()), ["dead 1", "dead 2", "done 1", "retried 1", "retried 2"], "runs")
    shop.nothing_left()


@CONTRACT.check("RTY-7", plane=Plane.WORKER, limit=60)
def a_run_beyond_the_longest_lease_is_single_and_ends_once(bench: Bench) -> None:
    """
    On a broker that lends for six seconds, plain and tracked jobs run for eight: beside another worker each is run
    once, ends once, and sends its successor once.
    """
    shop = Shop(bench, JobKit())
    longest = 3 * shop.lease

    def long(name: str) -> None:
        shop.notes(f"{name} began")
        bench.sleep(longest + 2)
        shop.notes(f"{name} ended")

    @shop.jobs.handler(queue="jobs")
    @local
    def after(name: str) -> None:
        shop.notes(f"after {name}")

    for name in ("plain", "tracked"):
        shop.jobs.handler(name=name, queue="jobs", track=name == "tracked", retry=RetryPolicy(max_attempts=3))(local(long))
        shop.jobs.get(name).new(name).then(after.new(name)).enqueue()
    for _ in range(2):
        shop.worker(concurrency=4, transport=lambda inner: ShortLease(inner, longest))
    for name in ("plain", "tracked"):
        shop.notes.wait(f"after {name}", within=longest + 3)
    shop.wait_at_rest()
    promised = [f"{name} {what}" for name in ("plain", "tracked") for what in ("began", "ended")]
    expect_equal(sorted(shop.notes.all()), sorted([*promised, "after plain", "after tracked"]), "runs")
    expect_equal(shop.jobs.dead.count(), 0, "dead letters")
    shop.nothing_left()


@CONTRACT.check("RTY-7", plane=Plane.WORKER, limit=60)
def custody_ends_with_its_worker(bench: Bench) -> None:
    """A worker that is killed while the store has custody of its job is survived by it: another one begins attempt 2."""
    shop = Shop(bench, JobKit())
    longest = 3 * shop.lease
    stuck = threading.Event()

    @shop.jobs.handler(queue="jobs", track=True, retry=RetryPolicy(max_attempts=3, delays=[0.05]))
    @local
    def long() -> int:
        if current_job().attempt == 1:
            stuck.wait(2 * GRACE)
        return current_job().attempt

    job = long.enqueue()
    victim = shop.worker(transport=lambda inner: ShortLease(inner, longest))
    wait_until(lambda: job.status().state == "custody", "custody", within=longest)
    victim.kill()
    shop.worker(transport=lambda inner: ShortLease(inner, longest))
    expect_equal(job.wait(longest + 12 + GRACE), 2, "the attempt that succeeded")
    stuck.set()
    shop.wait_at_rest()
