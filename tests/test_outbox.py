"""The outbox: jobs that commit with the caller's transaction in one database, and move on to a transport elsewhere."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobkit import ConfigurationError, JobKit, Unsupported, config
from jobkit.backend import Backend
from jobkit.errors import Unavailable
from jobkit.queues import OUTBOX
from jobkit.transport import Message
from jobkit.url import Url
from jobkit.worker.engine import Engine
from jobkit.worker.relay import Relay
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop

jobs = JobKit(default="memory://?namespace=outbox")
ran: list[int] = []
NEVER = threading.Event()


@jobs.handler
def note(number: int) -> None:
    ran.append(number)


@jobs.handler(track=True)
def tracked(number: int) -> int:
    return number * 2


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.delenv("JOBKIT_URL", raising=False)
    monkeypatch.setenv("JOBKIT_OUTBOX_URL", f"sqlite:///{tmp_path}/shop.db")
    ran.clear()
    connection = sqlite3.connect(tmp_path / "shop.db")
    yield connection
    connection.close()
    jobs.close()
    url = Url.parse("memory://?namespace=outbox")
    config.load_adapter(url).teardown(url)


def test_a_job_is_in_the_outbox_if_and_only_if_the_transaction_commits(shop: sqlite3.Connection) -> None:
    note.using(connection=shop).enqueue(1)
    shop.rollback()
    assert waiting() == 0
    note.using(connection=shop).enqueue(2)
    shop.commit()
    assert waiting() == 1
    assert relay().step(NEVER, 0) == 1
    work()
    assert (ran, waiting()) == ([2], 0)


def test_a_relay_moves_jobs_in_batches_in_order_of_insertion(shop: sqlite3.Connection) -> None:
    jobs.enqueue_many([note.new(number) for number in range(450)], connection=shop)
    shop.commit()
    mover = relay()
    moved = [mover.step(NEVER, 0) for _ in range(4)]
    assert moved == [200, 200, 50, 0]
    work(concurrency=1)
    assert ran == list(range(450))


def test_a_tracked_job_can_be_waited_for_through_the_outbox(shop: sqlite3.Connection) -> None:
    enqueued = tracked.using(connection=shop).enqueue(21)
    shop.commit()
    relay().step(NEVER, 0)
    work()
    assert enqueued.wait(5) == 42


def test_a_delay_passes_in_the_outbox(shop: sqlite3.Connection) -> None:
    note.using(connection=shop, delay="2h").enqueue(1)
    shop.commit()
    assert relay().step(NEVER, 0) == 0
    depth = jobs.outbox_depth()
    assert depth is not None
    assert (depth.ready, depth.delayed) == (0, 1)


def test_two_relays_at_once_move_each_job_once(shop: sqlite3.Connection) -> None:
    jobs.enqueue_many([note.new(number) for number in range(600)], connection=shop)
    shop.commit()
    relays = [threading.Thread(target=drain, args=(relay(),)) for _ in range(2)]
    for one in relays:
        one.start()
    for one in relays:
        one.join(60)
    work()
    assert Counter(ran) == Counter(range(600))


@pytest.mark.parametrize("step", range(8))
def test_a_relay_that_dies_at_any_step_loses_nothing_and_doubles_nothing(
    shop: sqlite3.Connection, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.enqueue_many([note.new(number) for number in range(3)], connection=shop)
    shop.commit()
    monkeypatch.setattr("jobkit.worker.relay.LEASE", 0.2)
    outbox, backend = jobs.outbox, jobs.backend
    assert outbox is not None
    calls = Calls(step)
    broken = Relay(calls.through(outbox), calls.through(backend), "broken")
    with contextlib.suppress(Crash):  # the last of these steps are more than it has
        broken.step(NEVER, 0)
    drain_all(relay())
    work()
    assert Counter(ran) == Counter(range(3))


def test_what_cannot_be_decoded_becomes_a_dead_letter_at_the_destination(shop: sqlite3.Connection) -> None:
    outbox = jobs.outbox
    assert outbox is not None
    outbox.transport.send([Message(id="junk", queue=OUTBOX, body=b"\xff\x00")])
    assert relay().step(NEVER, 0) == 1
    assert jobs.dead.show("junk").body == b"\xff\x00"
    assert waiting() == 0


def test_an_outage_of_the_transport_leaves_the_jobs_in_the_outbox(
    shop: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    note.using(connection=shop).enqueue(1)
    shop.commit()
    monkeypatch.setattr("jobkit.worker.relay.LEASE", 0.2)

    def away(*_: Any) -> Any:
        raise Unavailable("the store is away")

    with monkeypatch.context() as outage:
        outage.setattr(jobs.backend.store, "put", away)
        with pytest.raises(Unavailable):
            relay().step(NEVER, 0)
    assert relay().step(NEVER, 5) == 1
    work()
    assert ran == [1]


def test_a_worker_moves_the_outbox_on_when_asked_to(shop: sqlite3.Connection) -> None:
    jobs.enqueue_many([note.new(number) for number in range(5)], connection=shop)
    shop.commit()
    Engine(Workshop(jobs, Settings(burst=True, relay=True, queues=("default",)))).run()
    assert sorted(ran) == [0, 1, 2, 3, 4]


def test_without_an_outbox_a_connection_and_a_relay_are_refused_by_name(
    shop: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBKIT_OUTBOX_URL")
    with pytest.raises(Unsupported, match="JOBKIT_OUTBOX_URL"):
        note.using(connection=shop).enqueue(1)
    with pytest.raises(ConfigurationError, match="JOBKIT_OUTBOX_URL"):
        Engine(Workshop(jobs, Settings(relay=True)))


def test_an_outbox_in_the_transports_own_place_is_none() -> None:
    found = config.backends("sqlite:///a.db", None, "sqlite:///a.db?timeout=5", environment={})
    assert found.outbox is None


class Calls:
    """Counts the calls to all transports and stores, and ends the process before call number *last*."""

    def __init__(self, last: int) -> None:
        self._left = last

    def through(self, backend: Backend) -> Backend:
        """*backend* with its calls counted."""
        transport: Any = Counted(backend.transport, self._count)
        store: Any = Counted(backend.store, self._count)
        return Backend(transport, store, same_database=backend.same_database)

    def _count(self) -> None:
        if self._left == 0:
            raise Crash
        self._left -= 1


class Counted:
    def __init__(self, inner: Any, count: Callable[[], None]) -> None:
        self._inner = inner
        self._count = count

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self._count()
            return value(*args, **kwargs)

        return call


def relay() -> Relay:
    outbox = jobs.outbox
    assert outbox is not None
    return Relay(outbox, jobs.backend, "relay")


def drain(mover: Relay) -> None:
    while mover.step(NEVER, 0.3):
        pass


def drain_all(mover: Relay) -> None:
    """Until nothing is left in the outbox, on loan to a relay that died included."""
    while waiting():
        mover.step(NEVER, 0.3)


def waiting() -> int:
    depth = jobs.outbox_depth()
    assert depth is not None
    return (depth.ready or 0) + (depth.delayed or 0) + (depth.leased or 0)


def work(concurrency: int = 4) -> None:
    Engine(Workshop(jobs, Settings(burst=True, concurrency=concurrency, queues=("default",)))).run()
