"""DLQ: how jobs die, what is kept of them, and how they come back."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

from jobkit import JobKit, RetryPolicy, current_job, records
from jobkit.backend import Backend
from jobkit.errors import NotFound, Unavailable
from jobkit.handlers import Handler
from jobkit.records import DeadEntry
from jobkit.store import Record, Store, Write
from jobkit.transport import Message, Transport
from jobkit_contract.around import AroundStore, AroundTransport, WatchedStore, WatchedTransport
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import Shop, wait_until
from jobkit_contract.staff import local
from jobkit_contract.steps import expect, expect_equal, raises, send

ONCE = RetryPolicy(max_attempts=1)
THRICE = RetryPolicy(max_attempts=3, delays=[0.05], jitter=0)


def _mortal(shop: Shop, name: str, *, retry: RetryPolicy = ONCE, **options: Any) -> Handler[Any, Any, Any]:
    """A handler that fails with its argument as text, and notes each run."""

    def fail(text: str) -> None:
        shop.notes(text)
        raise ValueError(text)

    options.setdefault("queue", "jobs")
    found: Handler[Any, Any, Any] = shop.jobs.handler(name=name, retry=retry, **options)(local(fail))
    return found


def _dead(shop: Shop, count: int, *, within: float = 0.0) -> list[DeadEntry]:
    """All dead letters, once there are *count*."""
    wait_until(lambda: shop.jobs.dead.count() >= count, f"{count} deaths", within=within, found=shop.live)
    return shop.jobs.dead.list(limit=None)


def _dies(write: Write) -> bool:
    """Whether *write* makes a job's record a dead one."""
    if write.key.collection != records.JOBS or write.value is None:
        return False
    return records.parse(Record(write.value, "")).record.state == "dead"


@CONTRACT.check("DLQ-1", plane=Plane.WORKER, limit=60)
def exhaustion_leaves_one_record_and_no_live_copy(bench: Bench) -> None:
    """Plain and tracked jobs that fail three times, or at once: one dead letter each, and nothing to be received."""
    shop = Shop(bench, JobKit())
    kinds = [
        _mortal(shop, f"{name} {number}", retry=retry, track=name == "tracked")
        for name in ("plain", "tracked")
        for number, retry in ((3, THRICE), (1, ONCE))
    ]
    jobs = [kind.enqueue(kind.name) for kind in kinds for _ in range(5)]
    shop.worker(concurrency=10)
    _dead(shop, len(jobs))
    shop.wait_at_rest()
    bench.sleep(1.1)
    letters = shop.jobs.dead.list()
    expect_equal(sorted(letter.id for letter in letters), sorted(job.id for job in jobs), "dead letters")
    expect_equal({letter.type: letter.attempts for letter in letters}, {k.name: int(k.name[-1]) for k in kinds}, "attempts")
    expect_equal(
        {name: shop.notes.count(name) for name in (kind.name for kind in kinds)},
        {kind.name: 5 * int(kind.name[-1]) for kind in kinds},
        "runs",
    )
    expect_equal(shop.jobs.dead.count(), len(jobs), "count of dead letters")
    shop.nothing_left()


@CONTRACT.check("DLQ-1", plane=Plane.WORKER, limit=90)
def a_death_that_can_not_be_recorded_leaves_the_job_alive(bench: Bench) -> None:
    """
    The store refuses every dead record, until that worker is killed: meanwhile the job is in the broker, and then another
    worker runs it, and records its death.
    """
    shop = Shop(bench, JobKit())
    refused: list[Write] = []

    def refuse(write: Write) -> None:
        if _dies(write):
            refused.append(write)
            raise Unavailable("no dead record can be written")

    kinds = [_mortal(shop, name, track=name == "tracked") for name in ("plain", "tracked")]
    jobs = [kind.enqueue(kind.name) for kind in kinds]
    victim = shop.worker(lease=shop.lease, store=lambda inner: WatchedStore(inner, refuse))
    wait_until(lambda: len(refused) >= 2, "the deaths to be refused", found=shop.notes.all)
    bench.sleep(2 * shop.lease)
    expect_equal([shop.notes.count(kind.name) for kind in kinds], [1, 1], "runs while the record could not be written")
    expect_equal(shop.jobs.dead.list(), [], "dead letters while none could be written")
    if bench.capabilities.exact_counts:
        [depth] = shop.transport.depth(["jobs"])
        expect_equal((depth.ready, depth.delayed, depth.leased), (0, 0, 2), "ready, delayed and leased meanwhile")
    victim.kill()
    shop.worker()
    letters = _dead(shop, 2, within=2 * shop.lease + 3)
    expect_equal(sorted(letter.id for letter in letters), sorted(job.id for job in jobs), "dead letters in the end")
    shop.nothing_left()


@CONTRACT.check("DLQ-2", plane=Plane.WORKER, limit=60)
def the_record_holds_all_there_is_to_know(bench: Bench) -> None:
    """The bytes as they were sent; each failure with its time, error, message, traceback and worker; when and where."""
    sent: list[Message] = []
    shop = Shop(bench, JobKit(), transport=lambda inner: WatchedTransport(inner, sent.append))
    odd = 'caf\u00e9 \U0001f600 \\ " \n\t {} %s'
    once, thrice = _mortal(shop, "once"), _mortal(shop, "thrice", retry=THRICE)
    first = once.using(headers={"trace": odd}).enqueue(odd)
    strange = (
        '  {"args":{"text" : "\\u00e9"},"v":1,"type":"once","queue":"jobs","id":"strange-1",'
        '"enqueued_at":"2026-01-02T03:04:05Z"} '
    )
    send(shop.transport, Message(id="strange-1", queue="jobs", body=strange.encode()))
    other = thrice.enqueue(odd)
    begun = shop.store.now()
    worker = shop.worker()
    _dead(shop, 3)
    ended = shop.store.now()
    bodies = {message.id: message.body for message in sent}
    for job_id in (first.id, "strange-1"):
        expect_equal(shop.jobs.dead.show(job_id).body, bodies[job_id], "body of a job that died at once")
    letter = shop.jobs.dead.show(other.id)
    expect_equal(letter.args, {"text": odd}, "arguments")
    expect_equal((letter.type, letter.queue, letter.reason, letter.attempts), ("thrice", "jobs", odd, 3), "of the letter")
    expect_equal([failure.attempt for failure in letter.failures], [1, 2, 3], "attempts of the failures")
    expect_equal({failure.error for failure in letter.failures}, {"builtins.ValueError"}, "errors of the failures")
    expect_equal({failure.message for failure in letter.failures}, {odd}, "messages of the failures")
    expect_equal({failure.worker for failure in letter.failures} | {letter.worker}, {worker.id}, "workers")
    expect(all("raise ValueError(text)" in failure.traceback for failure in letter.failures), "no traceback")
    times = [failure.at for failure in letter.failures]
    expect(letter.died_at is not None, "it has no time of death")
    assert letter.died_at is not None
    slack = timedelta(seconds=0.5)
    expect(begun - slack <= times[0] <= times[1] <= times[2] <= letter.died_at <= ended + slack, f"times {times}")
    envelope = letter.envelope
    expect(envelope is not None and envelope.enqueued_at <= begun + timedelta(seconds=2), "it has no time of enqueueing")


@CONTRACT.check("DLQ-3", plane=Plane.WORKER, limit=60)
def listing_follows_the_order_of_death_while_others_die(bench: Bench) -> None:
    """
    Pages of seven, each from the last one's last instant on, while more jobs die: of those that were dead at the start
    none is left out, and none stands twice, in the order of death; and later lists hold it as it was.
    """
    shop = Shop(bench, JobKit())
    mortal = _mortal(shop, "mortal")
    first = [mortal.new(str(number)) for number in range(60)]
    shop.jobs.enqueue_many(first)
    shop.worker(concurrency=20)
    before = [entry.id for entry in _dead(shop, 60)]
    expect_equal(sorted(before), sorted(job.id for job in first), "dead letters")
    shop.jobs.enqueue_many([mortal.new(str(number)) for number in range(60, 180)])
    paged: list[DeadEntry] = []
    since: datetime | None = None
    while True:
        page = [entry for entry in shop.jobs.dead.list(since=since, limit=7) if entry not in paged[-7:]]
        if not page:
            break
        paged += page
        since = page[-1].died_at
    ids = [entry.id for entry in paged]
    expect_equal([job_id for job_id in ids if job_id in set(before)], before, "the first sixty, page by page")
    expect_equal(len(ids), len(set(ids)), "how many entries stand on the pages, and how many differ")
    after = _dead(shop, 180)
    expect_equal([entry.id for entry in after if entry.id in set(before)], before, "the first sixty in a later list")
    deaths = [entry.died_at for entry in after]
    expect_equal(deaths, sorted(deaths), "times of death")
    expect_equal(shop.jobs.dead.list(limit=50), after[:50], "the first fifty")


@CONTRACT.check("DLQ-3", plane=Plane.WORKER, limit=60)
def lists_are_filtered_by_queue_type_error_and_time(bench: Bench) -> None:
    """Each filter alone, and all together, gives just what it names."""
    shop = Shop(bench, JobKit())
    here, there = _mortal(shop, "here"), _mortal(shop, "there", queue="other")
    shop.worker()
    here.enqueue("red apple")
    _dead(shop, 1)
    bench.sleep(0.25)
    between = shop.store.now()
    bench.sleep(0.25)
    for kind, text in ((here, "green apple"), (there, "red pear"), (there, "green pear")):
        kind.enqueue(text)
        shop.notes.wait(text)
        bench.sleep(0.01)
    everything = _dead(shop, 4)
    listed = shop.jobs.dead.list

    def texts(**filters: Any) -> list[str]:
        return sorted(entry.message for entry in listed(**filters))

    expect_equal(texts(queue="other"), ["green pear", "red pear"], "those of a queue")
    expect_equal(texts(type="here"), ["green apple", "red apple"], "those of a type")
    expect_equal(texts(error="red"), ["red apple", "red pear"], "those with a message")
    expect_equal(len(texts(error="ValueError")), 4, "those of a class of errors")
    expect_equal(texts(error="KeyError"), [], "those of another class")
    expect_equal(texts(until=between), ["red apple"], "those until a time")
    expect_equal(texts(since=between, type="here"), ["green apple"], "those of a type since a time")
    expect_equal(texts(since=between, queue="other", error="green"), ["green pear"], "those by all filters")
    expect_equal(texts(since=everything[1].died_at, until=everything[2].died_at), [everything[1].message], "one instant's")


@CONTRACT.check("DLQ-4", plane=Plane.WORKER, limit=60)
def replay_keeps_id_and_lineage_and_reports_per_id(bench: Bench) -> None:
    """
    One, many and by filter: what is replayed runs under its id, from attempt 1, with its chain behind it and its failures
    kept; what is not there is said so; and who dies again is a dead letter with the failures of both lives.
    """
    shop = Shop(bench, JobKit())
    fixed = threading.Event()
    runs: list[tuple[str, int]] = []

    @shop.jobs.handler(queue="jobs", retry=ONCE)
    @local
    def repaired(text: str) -> str:
        runs.append((current_job().id, current_job().attempt))
        if not fixed.is_set():
            raise ValueError(text)
        return text

    @shop.jobs.handler(queue="jobs", retry=ONCE)
    @local
    def head(text: str) -> str:
        return text

    hopeless = _mortal(shop, "hopeless")
    last = head.new("x").then(repaired).then(head)
    middle = last.before
    assert middle is not None
    last.enqueue()
    many = [repaired.enqueue(str(number)).id for number in range(12)]
    again = hopeless.enqueue("again")
    shop.worker()
    _dead(shop, 14)
    fixed.set()
    runs.clear()
    [one, *rest] = many
    expect_equal(shop.jobs.dead.replay([one]), {one: "replayed"}, "replay of one")
    report = shop.jobs.dead.replay([*rest[:5], "no-such-job", one])
    expect_equal(report, {**dict.fromkeys(rest[:5], "replayed"), "no-such-job": "not found", one: "not found"}, "report")
    by_filter = [entry.id for entry in shop.jobs.dead.list(type="repaired")]
    shop.jobs.dead.replay([*by_filter, again.id])
    wait_until(lambda: len(runs) >= 13, "thirteen replays to run", found=lambda: len(runs))
    shop.notes.wait("again", 2)
    [letter] = [entry for entry in _dead(shop, 1) if entry.id == again.id]
    shop.wait_at_rest()
    expect_equal(sorted(runs), sorted((job_id, 1) for job_id in [*many, middle.id]), "replayed runs and their attempts")
    expect_equal([entry.id for entry in shop.jobs.dead.list()], [again.id], "dead letters")
    whole = shop.jobs.dead.show(again.id)
    expect_equal([(one.attempt, one.message) for one in whole.failures], [(1, "again")] * 2, "failures of both lives")
    expect_equal(letter.attempts, 1, "attempts of the second life")
    bench.sleep(1.2)
    expect_equal([entry.id for entry in shop.jobs.dead.list()], [again.id], "dead letters, looked at again")
    shop.nothing_left()


class Crash(BaseException):
    """The process ends here; nothing catches it."""


class _Steps:
    """Counts calls to transport and store, and crashes before number *at*. A dead process makes no further one."""

    def __init__(self, at: int) -> None:
        self._rest = at

    def before(self) -> None:
        self._rest -= 1
        if self._rest <= 0:
            raise Crash


def _crash_in_replay(shop: Shop, transport: Transport, store: Store, job_id: str, steps: _Steps) -> bool:
    """Replay by a process that crashes at its step; False if it came through, having fewer steps than that."""
    backend = Backend(AroundTransport(transport, steps.before), AroundStore(store, steps.before), same_database=False)
    backend.now = shop.jobs.backend.now  # type: ignore[method-assign]  # no step: it changes nothing
    try:
        type(shop.jobs.dead)(lambda: backend).replay([job_id])
    except Crash:
        return True
    return False


@CONTRACT.check("DLQ-4", plane=Plane.WORKER, limit=90)
def a_crash_at_any_step_of_a_replay_loses_nothing(bench: Bench) -> None:
    """
    Before each call that a replay makes, the process ends: each job is still a dead letter, or runs by itself soon; what
    is still dead can be replayed again; and in the end each has run once since.
    """
    shop = Shop(bench, JobKit())
    fixed, runs = threading.Event(), list[str]()

    @shop.jobs.handler(queue="jobs", retry=ONCE)
    @local
    def repaired(number: int) -> None:
        if not fixed.is_set():
            raise ValueError(number)
        runs.append(current_job().id)

    jobs = [repaired.new(number).enqueue().id for number in range(20)]
    worker = shop.worker()
    _dead(shop, len(jobs))
    shop.wait_at_rest()
    worker.stop()
    transport, store = bench.transport(), bench.store()
    crashed = 0
    for number, job_id in enumerate(jobs, 1):
        if not _crash_in_replay(shop, transport, store, job_id, _Steps(number)):
            break
        crashed += 1
    expect(4 <= crashed < len(jobs), f"a replay has {crashed} steps, so this says nothing")
    fixed.set()
    letters = {entry.id for entry in shop.jobs.dead.list()}
    taken = [job_id for job_id in jobs[: crashed + 1] if job_id not in letters]
    shop.worker()
    wait_until(lambda: set(runs) >= set(taken), "the replays that were cut off", within=8.0, found=lambda: len(runs))
    expect_equal(set(shop.jobs.dead.replay(sorted(letters)).values()), {"replayed"}, "reports of the second replay")
    wait_until(lambda: set(runs) >= set(jobs), "the rest", within=8.0, found=lambda: len(runs))
    shop.wait_at_rest()
    expect_equal(sorted(runs), sorted(jobs), "jobs that ran since")
    expect_equal(shop.jobs.dead.list(), [], "dead letters in the end")
    expect_equal(shop.jobs.dead.count(), 0, "count of dead letters in the end")
    shop.nothing_left()


@CONTRACT.check("DLQ-4", plane=Plane.WORKER, limit=60)
def a_slow_replay_does_not_erase_the_death_that_follows_it(bench: Bench) -> None:
    """Between two steps of a replay a promoter takes the job up, and it dies again: its new record stays, whole."""
    shop = Shop(bench, JobKit())
    mortal = _mortal(shop, "mortal")
    job = mortal.enqueue("again")
    shop.worker()
    _dead(shop, 1)
    shop.wait_at_rest()

    def wait(write: Write) -> None:
        if write.key.collection == records.DEAD and write.value is None:
            shop.notes.wait("again", 2, within=8.0)
            wait_until(lambda: shop.ends([job.id])[job.id] == "dead", "the second death")

    slow = Backend(shop.transport, WatchedStore(shop.store, wait), same_database=False)
    expect_equal(type(shop.jobs.dead)(lambda: slow).replay([job.id]), {job.id: "replayed"}, "report of the replay")
    shop.wait_at_rest(within=2.0)
    [letter] = _dead(shop, 1)
    expect_equal(letter.id, job.id, "the dead letter")
    expect_equal(len(shop.jobs.dead.show(job.id).failures), 2, "failures of both lives")
    expect_equal(shop.notes.count("again"), 2, "runs")
    shop.nothing_left()


MANY = 450


@CONTRACT.check("DLQ-6", plane=Plane.WORKER, limit=60)
def nothing_is_evicted(bench: Bench) -> None:
    """Hundreds of dead letters: all are listed and counted, none is written with an end; a purge takes what it names."""
    shop = Shop(bench, JobKit())
    timed: list[Write] = []

    def watch(write: Write) -> None:
        if write.ttl is not None and (write.key.collection == records.DEAD or _dies(write)):
            timed.append(write)

    mortal = _mortal(shop, "mortal")
    jobs = [mortal.new(str(number)) for number in range(MANY)]
    shop.jobs.enqueue_many(jobs)
    shop.worker(concurrency=20, store=lambda inner: WatchedStore(inner, watch))
    shop.notes.wait_for_any(MANY, within=15.0)
    shop.wait_at_rest()
    expect_equal(timed, [], "records of the dead that expire")
    expect_equal(shop.jobs.dead.count(), MANY, "count of dead letters")
    letters = shop.jobs.dead.list(limit=None)
    expect_equal({entry.id for entry in letters}, {job.id for job in jobs}, "dead letters")
    expect_equal(shop.ends([entry.id for entry in letters[:100]]), {entry.id: "dead" for entry in letters[:100]}, "records")
    gone = [entry.id for entry in letters[10:13]]
    report = shop.jobs.dead.purge([*gone, "no-such-job"])
    expect_equal(report, {**dict.fromkeys(gone, "purged"), "no-such-job": "not found"}, "report of a purge")
    expect_equal(shop.jobs.dead.count(), MANY - 3, "count after a purge of three")
    raises(NotFound, lambda: shop.jobs.dead.show(gone[0]), "show of a purged one")
    rest = [entry.id for entry in shop.jobs.dead.list(limit=None)]
    expect_equal(rest, [entry.id for entry in letters if entry.id not in gone], "dead letters after a purge of three")


UNREADABLE = {
    "no json": b"\xff\x00\xfe not json \r\n",
    "empty": b"",
    "no envelope": b'{"v": 1, "id": "unreadable-1"}',
    "a later version": b'{"v": 2, "id": "later-1", "new": {"shape": [1]}}',
}


@CONTRACT.check("DLQ-7", plane=Plane.WORKER, limit=60)
def what_can_not_be_decoded_dies_raw(bench: Bench) -> None:
    """Bodies that are no envelope are dead letters with their bytes and the reason; their neighbours run."""
    shop = Shop(bench)
    sent = {f"raw-{number}": body for number, body in enumerate(UNREADABLE.values())}
    send(shop.transport, *(Message(id=job_id, queue="jobs", body=body) for job_id, body in sent.items()))
    shop.jobs.get("attempt").enqueue(7)
    shop.worker()
    letters = _dead(shop, len(sent))
    shop.notes.wait("attempt 1 of 7")
    shop.wait_at_rest()
    expect_equal({entry.id: shop.jobs.dead.show(entry.id).body for entry in letters}, sent, "bodies")
    expect_equal({entry.error for entry in letters}, {"jobkit.codec.Undecodable"}, "errors")
    reasons = [shop.jobs.dead.show(job_id).reason for job_id in sent]
    expect("version 2" in reasons[3] and all("envelope" in reason for reason in reasons), f"reasons {reasons}")
    shop.nothing_left()


@CONTRACT.check("DLQ-7", plane=Plane.WORKER, limit=60)
def a_type_that_nobody_knows_waits_and_then_dies(bench: Bench) -> None:
    """A job of an unknown type is no dead letter before its parking time, then it is, with its arguments as they were;
    one whose type a worker learns meanwhile runs, at attempt 1."""
    waits = 2.0
    shop = Shop(bench, JobKit(unknown_type_for=waits))
    args = '{"a" : [1.50, "\\u00e9"]}'
    for name in ("nobody", "newcomer"):
        body = f'{{"v":1,"id":"{name}-1","type":"{name}","queue":"jobs","args":{args},"enqueued_at":"2026-01-02T03:04:05Z"}}'
        send(shop.transport, Message(id=f"{name}-1", queue="jobs", body=body.encode()))
    begun = shop.store.now()
    shop.worker()
    bench.sleep(1.0)
    expect_equal(shop.jobs.dead.list(), [], "dead letters before the parking time")

    @shop.jobs.handler(queue="jobs")
    @local
    def newcomer(a: list[Any]) -> None:
        shop.notes(f"attempt {current_job().attempt} with {a}")

    [letter] = _dead(shop, 1, within=waits + 1)
    lived = (letter.died_at - begun).total_seconds()
    expect(lived >= waits - 0.1, f"it was to be kept for {waits} s, and died after {lived:.2f} s")
    whole = shop.jobs.dead.show("nobody-1")
    expect(args.encode() in whole.body, f"its arguments were {args}, and its body is {whole.body!r}")
    expect("nobody" in whole.reason, f"the reason {whole.reason!r} does not name the type")
    shop.notes.wait("attempt 1 with [1.5, 'é']", within=16.0)
    shop.wait_at_rest()
    expect_equal([entry.id for entry in shop.jobs.dead.list()], ["nobody-1"], "dead letters")
    shop.nothing_left()
