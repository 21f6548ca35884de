"""The app: configuration, enqueueing through it, and the first use of its backend. On memory."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from jobkit import ConfigurationError, Handlers, JobKit, NotFound, TooLarge, Unsupported, codec, config
from jobkit.backend import Backend
from jobkit.clock import ManualClock
from jobkit.envelope import Envelope
from jobkit.memory import MemoryAdapter
from jobkit.queues import PRIORITIES
from jobkit.transport import Message, Sent
from jobkit.url import Url


def work(value: int = 0) -> int:
    return value


def follow(value: int) -> None: ...


def blob(data: bytes) -> None: ...


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBKIT_URL", raising=False)
    monkeypatch.delenv("JOBKIT_STORE_URL", raising=False)


class Place:
    def __init__(self, query: str = "", **options: Any) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        adapter, url = MemoryAdapter(self.clock), Url.parse(f"memory://{query}")
        self.jobs = JobKit(**options)
        self.transport, self.store = adapter.transport(url), adapter.store(url)
        self.jobs.use(Backend(self.transport, self.store, same_database=False, clock=self.clock))
        self.work = self.jobs.handler(work)

    def bodies(self, queue: str = "default") -> list[Envelope]:
        found = self.transport.receive([queue], limit=1000, wait=0, lease=1e6, stop=Event())
        return [codec.decode(delivery.message.body) for delivery in found]


@pytest.fixture
def place() -> Place:
    return Place()


def test_without_a_backend_nothing_is_chosen_silently() -> None:
    jobs = JobKit()
    handler = jobs.handler(work)
    for use in (lambda: jobs.backends, handler.enqueue, jobs.stats, lambda: jobs.status("x")):
        with pytest.raises(ConfigurationError, match="no backend: set JOBKIT_URL"):
            use()


@pytest.mark.parametrize(
    ("default", "store", "env", "expected"),
    [
        ("memory://?namespace=a", None, {}, ("a", "a")),
        ("memory://?namespace=a", "memory://?namespace=s", {}, ("a", "s")),
        ("memory://?namespace=a", None, {"JOBKIT_URL": "memory://?namespace=b"}, ("b", "b")),
        ("memory://?namespace=a", "memory://?namespace=s", {"JOBKIT_URL": "memory://?namespace=b"}, ("b", "b")),
        ("memory://?namespace=a", "memory://?namespace=s", {"JOBKIT_STORE_URL": "memory://?namespace=t"}, ("a", "t")),
        (None, "memory://?namespace=s", {"JOBKIT_URL": "memory://?namespace=b"}, ("b", "s")),
        (
            None, None,
            {"JOBKIT_URL": "memory://?namespace=b", "JOBKIT_STORE_URL": "memory://?namespace=t"},
            ("b", "t"),
        ),
        ("memory://?namespace=a", None, {"JOBKIT_URL": "", "JOBKIT_STORE_URL": ""}, ("a", "a")),
    ],
)  # fmt: skip
def test_the_environment_wins_and_brings_its_own_store(
    default: str | None, store: str | None, env: dict[str, str], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = JobKit(default, store=store).backends
    assert (found.transport.params["namespace"], found.store.params["namespace"]) == expected


def test_a_store_alone_names_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBKIT_STORE_URL", "memory://")
    with pytest.raises(ConfigurationError, match="no backend"):
        _ = JobKit().backends


def test_options_of_the_url_do_not_make_it_another_database() -> None:
    found = config.backends("sqlite:///a.db?timeout=1", "sqlite:///a.db?timeout=2", environment={})
    assert found.same_database
    assert not config.backends("sqlite:///a.db", "sqlite:///b.db", environment={}).same_database
    assert not config.backends("sqlite:///a.db?namespace=x", "sqlite:///a.db?namespace=y", environment={}).same_database


def test_an_unknown_scheme_names_the_nearest_installed_one() -> None:
    with pytest.raises(ConfigurationError, match=r"no adapter for sqlit:// is installed; did you mean 'sqlite'"):
        _ = JobKit("sqlit:///a.db").backend


def test_nothing_is_opened_before_first_use(tmp_path: Any) -> None:
    path = tmp_path / "jobs.db"
    jobs = JobKit(f"sqlite:///{path}")
    handler = jobs.handler(work)
    handler.using(delay=5).new(1).then(jobs.handler(follow))
    assert not path.exists()
    handler.enqueue(1)
    assert path.exists()
    jobs.close()


def test_a_closed_app_opens_anew_at_its_next_use() -> None:
    with JobKit("memory://?namespace=test_reopen") as jobs:
        first = jobs.backend
        jobs.close()
        assert jobs.backend is not first
    assert jobs.handlers() == []


def test_an_enqueued_job_stands_in_its_queue_with_all_that_was_said(place: Place) -> None:
    using = place.work.using(queue="mail", priority="high", headers={"a": "b"}, expires="1h")
    enqueued = using.enqueue(7)
    [envelope] = place.bodies("mail--high")
    assert (envelope.id, envelope.type, envelope.queue, envelope.priority) == (enqueued.id, "work", "mail", "high")
    assert (bytes(envelope.args), envelope.headers) == (b'{"value":7}', {"a": "b"})
    assert envelope.expires_at == place.clock.now() + timedelta(hours=1)
    assert enqueued.created
    assert repr(enqueued) == f"<enqueued work {enqueued.id}>"


def test_async_twins_enqueue_alike(place: Place) -> None:
    async def enqueue() -> list[str]:
        one = await place.work.aenqueue(1)
        many = await place.jobs.aenqueue_many([place.work.new(2), place.work.new(3)])
        return [one.id, *(enqueued.id for enqueued in many)]

    assert asyncio.run(enqueue()) == [envelope.id for envelope in place.bodies()]


def test_an_instant_and_a_delay_say_the_same(place: Place) -> None:
    for options in ({"delay": "10m"}, {"at": place.clock.now() + timedelta(minutes=20)}):
        place.work.using(**options).enqueue(1)
        assert place.bodies() == []
        place.clock.advance(600)
        assert len(place.bodies()) == 1


def test_an_instant_that_has_passed_means_now(place: Place) -> None:
    place.work.using(at=datetime(2000, 1, 1, tzinfo=UTC)).enqueue(1)
    assert len(place.bodies()) == 1


def test_delays_beyond_fifteen_minutes_are_parked_and_shorter_ones_are_the_brokers(place: Place) -> None:
    place.work.using(delay=900).enqueue(1)
    assert place.store.count("due", limit=10) == 0
    place.work.using(delay=901).enqueue(1)
    assert place.store.count("due", limit=10) == 1
    [depth] = place.transport.depth(["default"])
    assert depth.delayed == 1


def test_many_are_enqueued_in_order_and_in_one_go(place: Place) -> None:
    sends: list[int] = []
    send = place.transport.send

    def counted(messages: Sequence[Message]) -> list[Sent]:
        sends.append(len(messages))
        return send(messages)

    place.transport.send = counted  # type: ignore[method-assign]
    enqueued = place.jobs.enqueue_many(place.work.new(number) for number in range(200))
    assert sends == [200]
    assert [one.id for one in enqueued] == [envelope.id for envelope in place.bodies()]
    assert place.jobs.enqueue_many([]) == []


def test_what_is_no_job_of_this_app_is_refused_before_anything_is_sent(place: Place) -> None:
    other = JobKit("memory://").handler(follow)
    wrong: list[Any] = [place.work, work, None, place.work.enqueue]
    for item in wrong:
        with pytest.raises(ConfigurationError, match="is no job; make one with"):
            place.jobs.enqueue_many([place.work.new(1), item])
    with pytest.raises(ConfigurationError, match="follow belongs to another app"):
        place.jobs.enqueue_many([other.new(1)])
    with pytest.raises(ConfigurationError, match="belongs to another app"):
        place.work.new(1).then(other).enqueue()
    with pytest.raises(ConfigurationError, match="belongs to another app"):
        other.new(1).then(place.work.new(1)).enqueue()
    with pytest.raises(ConfigurationError, match="no app has it"):
        place.jobs.enqueue_many([Handlers().handler(blob).new(b"")])
    assert place.bodies() == []


def test_the_same_job_twice_in_one_call_is_refused(place: Place) -> None:
    job = place.work.new(1)
    with pytest.raises(ConfigurationError, match="a job of work stands twice"):
        place.jobs.enqueue_many([job, job])
    assert place.bodies() == []


def test_jobs_of_different_connections_are_refused(place: Place) -> None:
    one, two = object(), object()
    cases: list[tuple[list[Any], Any]] = [
        ([place.work.using(connection=one).new(1), place.work.using(connection=two).new(1)], None),
        ([place.work.using(connection=one).new(1), place.work.new(1)], None),
        ([place.work.using(connection=one).new(1)], two),
    ]
    for items, connection in cases:
        with pytest.raises(ConfigurationError, match="different connections"):
            place.jobs.enqueue_many(items, connection=connection)
    with pytest.raises(Unsupported, match="memory does not live in an SQL database"):
        place.work.using(connection=one).enqueue(1)
    with pytest.raises(Unsupported):
        place.jobs.enqueue_many([place.work.using(connection=one).new(1), place.work.new(1)], connection=one)
    assert place.bodies() == []


def test_a_job_too_large_for_the_backend_is_refused_by_name_before_anything_is_sent() -> None:
    place = Place("?max_body=100000")
    handler = place.jobs.handler(blob)
    with pytest.raises(TooLarge, match=r"blob: the job has \d+ bytes; this backend takes 34464 at most"):
        place.jobs.enqueue_many([place.work.new(1), handler.new(b"x" * 30_000)])
    assert place.bodies() == []
    handler.enqueue(b"x" * 20_000)


def test_a_chain_travels_with_its_first_job(place: Place) -> None:
    later = place.jobs.handler(follow)
    chain = place.work.new(1).then(later)
    enqueued = chain.enqueue()
    assert enqueued.id == chain.id
    [envelope] = place.bodies()
    assert envelope.id == chain.chain()[0].id
    assert [(step.id, step.type, step.result_as) for step in envelope.successors] == [(chain.id, "follow", "value")]


def test_a_handler_is_found_by_name_or_the_nearest_is_named(place: Place) -> None:
    assert place.jobs.get("work") is place.work
    with pytest.raises(NotFound, match=r"no handler is called 'wrok'; did you mean 'work'\?"):
        place.jobs.get("wrok")


@pytest.fixture
def module() -> Iterator[str]:
    name = "tests_shop_of_handlers"
    sys.modules[name] = types.ModuleType(name)
    yield name
    del sys.modules[name]


def test_modules_are_imported_when_a_name_is_looked_up_and_not_before(module: str) -> None:
    jobs = JobKit("memory://", modules=["no.such.module"])
    with pytest.raises(ModuleNotFoundError):
        jobs.get("x")
    found = JobKit("memory://", modules=[module])
    with pytest.raises(NotFound):
        found.get("x")


def test_a_lone_name_where_a_list_belongs_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"modules 'shop\.emails': give a list"):
        JobKit("memory://", modules="shop.emails")


def test_purge_empties_a_queue_of_every_priority_and_leaves_the_others(place: Place) -> None:
    for priority in PRIORITIES:
        place.work.using(priority=priority).enqueue(1)
    place.work.using(queue="other").enqueue(1)
    assert place.jobs.purge("default") == 3
    assert len(place.bodies("other")) == 1
    with pytest.raises(ConfigurationError, match="queue 'a b'"):
        place.jobs.purge("a b")


def test_setup_of_memory_changes_nothing() -> None:
    assert JobKit("memory://").setup() == []
