"""The engine in this process, on a memory backend whose limits are lowered: custody, bridges, lost leases, outages."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobkit import JobKit, RetryPolicy, config, current_job, records
from jobkit.errors import Unavailable
from jobkit.store import Key, Write, Written
from jobkit.transport import Answer, Transport
from jobkit.url import Url
from jobkit.worker.engine import Engine
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop
from tests.worker.shop import wait_until

jobs = JobKit(default="memory://")
ran: list[str] = []
release = threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()
    release.clear()


@jobs.handler(track=True)
def hold(name: str) -> str:
    ran.append(name)
    release.wait(30)
    return name


@jobs.handler(track=True)
async def hold_async(name: str) -> None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        ran.append(f"{name} cancelled, lost: {current_job().lost}")
        raise


@jobs.handler(retry=RetryPolicy(max_attempts=3, delays=[0.05]))
def fail_once(name: str) -> None:
    ran.append(name)
    if len(ran) == 1:
        raise ValueError("once")


@jobs.handler
def after(name: str) -> None:
    ran.append(f"after {name}")


@contextmanager
def working(options: str, *, lease: float = 1.0, concurrency: int = 2) -> Iterator[Workshop]:
    """An engine in threads of this process, on a memory backend with these URL options."""
    url = Url.parse(f"memory://?namespace=t{secrets.token_hex(4)}{options}")
    adapter = config.load_adapter(url)
    jobs.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBKIT_URL", url.text())
        workshop = Workshop(jobs, Settings(lease=lease, grace=1.0, concurrency=concurrency, queues=("default",)))
        engine = Engine(workshop)
        thread = threading.Thread(target=engine.run)
        thread.start()
        try:
            yield workshop
        finally:
            release.set()
            engine.stop()
            thread.join(30)
            jobs.close()
            adapter.teardown(url)
    assert not thread.is_alive()


def test_a_run_beyond_the_brokers_longest_lease_stays_single_and_ends_once() -> None:
    with working("&max_lease=1.5", lease=0.5) as workshop:
        held = hold.enqueue("long")
        wait_until(lambda: held.status().state == "custody", "custody")
        transport = workshop.backend.transport
        wait_until(lambda: not transport.depth(["default"])[0].leased, "the broker's copy to go")
        time.sleep(2)  # several leases: nobody else may get it meanwhile
        release.set()
        assert held.wait(10) == "long"
    assert ran == ["long"]


def test_a_job_in_custody_whose_chain_goes_on_sends_its_successor() -> None:
    with working("&max_lease=1.5", lease=0.5):
        chain = hold.new("first").then(after)
        chain.enqueue()
        wait_until(lambda: ran == ["first"], "the start")
        time.sleep(1.5)
        release.set()
        wait_until(lambda: "after first" in ran, "the successor")


def test_a_retry_over_a_broker_that_cannot_replace_atomically_goes_through_the_store() -> None:
    with working("&atomic=no") as workshop:
        fail_once.enqueue("x")
        wait_until(lambda: len(ran) == 2, "the second attempt")
        wait_until(lambda: not len(workshop.held), "its settlement")
        assert workshop.backend.store.count("due", limit=10) == 0
    assert ran == ["x", "x"]


def test_a_delay_beyond_the_brokers_longest_is_kept_by_the_store() -> None:
    with working("&max_delay=0"):
        began = time.monotonic()
        after.using(delay=0.5).enqueue("a while")
        wait_until(lambda: ran == ["after a while"], "the delayed job")
        assert time.monotonic() - began >= 0.5


def test_an_async_handler_is_cancelled_when_its_lease_is_lost() -> None:
    with working("", lease=0.5) as workshop:
        hold_async.enqueue("y")
        wait_until(lambda: any(run.started_at for run in workshop.held.all()), "its start")
        _steal(workshop)
        wait_until(lambda: "y cancelled, lost: True" in ran, "its cancellation")


def test_a_def_handler_is_told_that_its_lease_is_lost_and_its_outcome_is_dropped() -> None:
    with working("", lease=0.5) as workshop:
        held = hold.enqueue("z")
        wait_until(lambda: any(run.started_at for run in workshop.held.all()), "its start")
        [run] = workshop.held.all()
        _steal(workshop)
        wait_until(run.lost.is_set, "the signal")
        release.set()
        wait_until(lambda: not len(workshop.held), "the end of the run")
        assert held.status().outcome == ""


def test_an_outage_of_the_broker_does_not_end_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    with working("") as workshop:
        broken = threading.Event()
        _break(workshop, broken)
        broken.set()
        wait_until(lambda: "trying again until it works" in caplog.text, "the outage to be noticed")
        time.sleep(1)
        said = caplog.text.count("fetching jobs: the broker is away")
        broken.clear()
        after.enqueue("the outage")
        wait_until(lambda: ran == ["after the outage"], "work after the outage")
    assert said == 1


def test_while_the_store_is_away_a_decision_is_repeated_and_the_handler_is_not() -> None:
    with working("", lease=1.0) as workshop:
        held = hold.enqueue("w")
        wait_until(lambda: ran == ["w"], "the start")
        away = threading.Event()
        put = workshop.backend.store.put

        def broken_put(writes: Any) -> Any:
            if away.is_set():
                raise Unavailable("the store is away")
            return put(writes)

        workshop.backend.store.put = broken_put  # type: ignore[method-assign]
        away.set()
        release.set()
        time.sleep(2.5)  # longer than a lease
        away.clear()
        assert held.wait(20) == "w"
    assert ran == ["w"]


def test_what_nobody_expects_ends_neither_the_promoter_nor_the_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    with working("", lease=0.5) as workshop:
        store = workshop.backend.store
        junk = Key(records.DUE, "20000101T000000.000000Z/junk")
        store.put([Write(junk, b"junk")])
        extend = workshop.backend.transport.extend
        failing = iter([True])

        def broken_extend(*args: Any, **kwargs: Any) -> Any:
            if next(failing, False):
                raise RuntimeError("a bug in an adapter")
            return extend(*args, **kwargs)

        workshop.backend.transport.extend = broken_extend  # type: ignore[method-assign]
        held = hold.enqueue("kept")
        wait_until(lambda: "sending parked jobs" in caplog.text, "the junk to be noticed")
        wait_until(lambda: "a bug in an adapter" in caplog.text, "the heartbeat's failure")
        time.sleep(1)  # several leases
        store.put([Write(junk, None)])
        wait_until(lambda: "sending parked jobs works again" in caplog.text, "the promoter to go on")
        release.set()
        assert held.wait(10) == "kept"
    assert ran == ["kept"]


def test_a_lost_reply_to_the_mark_of_a_start_spends_no_attempt() -> None:
    with working("", lease=1.0) as workshop:
        store = workshop.backend.store
        put, get, losing, first = store.put, store.get, threading.Event(), iter([True])

        def lossy_put(writes: Any) -> Any:
            answers = put(writes)
            if b'"running"' not in (writes[0].value or b""):
                return answers
            if next(first, False):
                losing.set()
                threading.Timer(0.5, losing.clear).start()
            return [Written(Answer.UNKNOWN)] * len(answers) if losing.is_set() else answers

        def lossy_get(keys: Any) -> Any:
            if losing.is_set():
                raise Unavailable("the store is away")
            return get(keys)

        store.put, store.get = lossy_put, lossy_get  # type: ignore[method-assign]
        held = hold.enqueue("marked")
        wait_until(lambda: ran == ["marked"], "the start")
        assert held.status().attempts == 1
        release.set()
        assert held.wait(10) == "marked"
    assert ran == ["marked"]


def test_a_record_that_cannot_be_read_holds_up_no_other_job() -> None:
    with working("", lease=0.5, concurrency=4) as workshop:
        release.set()
        enqueued = jobs.enqueue_many([hold.using(delay=0.5).new(str(number)) for number in range(10)])
        junk = Write(Key(records.JOBS, enqueued[3].id), b'{"state":"of another version","generation":0}')
        workshop.backend.store.put([junk])
        for one in enqueued[:3] + enqueued[4:]:
            one.wait(10)
    assert len(ran) == 9


def _steal(workshop: Workshop) -> None:
    """Let the broker's lease end behind the worker's back, as a stall of its heartbeat would."""
    [run] = workshop.held.all()
    assert run.delivery is not None
    transport = workshop.backend.transport
    job = transport._queues["default"].jobs[run.delivery.message.id]  # type: ignore[attr-defined]
    job.token = -1


def _break(workshop: Workshop, broken: threading.Event) -> None:
    transport: Transport = workshop.backend.transport
    receive = transport.receive

    def broken_receive(*args: Any, **kwargs: Any) -> Any:
        if broken.is_set():
            raise Unavailable("the broker is away")
        return receive(*args, **{**kwargs, "wait": 0.05})

    transport.receive = broken_receive  # type: ignore[method-assign]
