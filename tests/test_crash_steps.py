"""
Whatever the call after which a process dies, the job ends once and as it should: nothing is lost, and nothing runs twice
but what had run and was not yet recorded as ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from jobkit import Dead, JobKit, New, Retry, RetryPolicy, current_job, records
from jobkit.transport import Message
from jobkit.worker.loops import running_loop
from tests.crashing import LEASE, Crash, Process, World, decided_after

jobs = JobKit()
ran: list[str] = []
failures_left: dict[str, int] = {}
hooks: dict[str, Callable[[], None]] = {}

POLICY = RetryPolicy(max_attempts=5, delays=[10], jitter=0)


def _effect(name: str) -> None:
    ran.append(name)
    hook = hooks.get(name)
    if hook is not None:
        hook()


def _fail(name: str) -> bool:
    failures_left[name] = failures_left.get(name, 0) - 1
    return failures_left[name] >= 0


@jobs.handler(retry=POLICY)
def plain() -> None:
    _effect("plain")


@jobs.handler(retry=POLICY, track=True)
def tracked() -> int:
    _effect("tracked")
    return 7


@jobs.handler(retry=POLICY)
def flaky() -> None:
    _effect("flaky")
    if _fail("flaky"):
        raise ValueError("not yet")


@jobs.handler(retry=POLICY, track=True)
def flaky_tracked() -> None:
    _effect("flaky_tracked")
    if _fail("flaky_tracked"):
        raise ValueError("not yet")


@jobs.handler(retry=POLICY)
def later() -> None:
    _effect("later")
    if _fail("later"):
        raise Retry(after="2h")


@jobs.handler(retry=POLICY)
def hopeless() -> None:
    _effect("hopeless")
    if _fail("hopeless"):
        raise Dead("beyond help")


@jobs.handler(retry=POLICY, track=True)
def follow(value: int) -> None:
    _effect(f"follow {value}")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with running_loop() as running:
        yield running


@attrs.frozen
class Scenario:
    """
    Attributes:
        prepare: Before the process starts that will crash.
        act: What that process does.
        query: The broker's options.
    """

    prepare: Callable[[World], Any]
    act: Callable[[World, Process, Any], None]
    query: str = ""


def work(world: World, process: Process, given: Any) -> None:
    process.work()


def work_later(world: World, process: Process, given: Any) -> None:
    process.work()
    world.clock.advance(11)
    process.work()


def crashes(scenario: Scenario, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[World, Any, int, bool]]:
    """
    The scenario once for each of its calls, ended after that call, and at last once undisturbed.

    Gives the world, what was prepared, how many more runs there may be, and whether it crashed.
    """
    fatal = 0
    while True:
        fatal += 1
        ran.clear()
        failures_left.clear()
        hooks.clear()
        world = World(jobs, loop, scenario.query)
        given = scenario.prepare(world)
        before = len(ran)
        crashed, marks = True, list[tuple[int, str]]()
        with world.process(fatal) as process:
            wire = world.wire
            watch_effects(marks, wire.calls)
            try:
                scenario.act(world, process, given)
                crashed = False
            except Crash:
                pass
        repeats = 1 if crashed and len(ran) > before and not decided_after(wire.calls, *marks[-1]) else 0
        yield world, given, repeats, crashed
        if not crashed:
            assert fatal > 1, "the scenario makes no call at all"
            return


def watch_effects(marks: list[tuple[int, str]], calls: list[str]) -> None:
    """Note where in the calls each run happens, and whose it is."""

    def note() -> None:
        marks.append((len(calls), current_job().id))

    for name in ("plain", "tracked", "flaky", "flaky_tracked", "later", "hopeless", "follow 7"):
        inner = hooks.get(name)

        def hook(inner: Callable[[], None] | None = inner) -> None:
            note()
            if inner is not None:
                inner()

        hooks[name] = hook


def check_clean(world: World) -> None:
    """No copy, entry or body is left anywhere."""
    assert world.in_broker() == 0
    assert world.names(records.DUE) == []


def enqueue(job: Callable[[], New[Any]]) -> Callable[[World], New[Any]]:
    def prepare(world: World) -> New[Any]:
        made = job()
        with world.process():
            made.enqueue()
        return made

    return prepare


RUNS: dict[str, tuple[Scenario, list[str], str]] = {
    "a plain job": (Scenario(enqueue(plain.new), work), ["plain"], ""),
    "a tracked job": (Scenario(enqueue(tracked.new), work), ["tracked"], "done"),
    "a plain job that is retried": (Scenario(enqueue(flaky.new), work_later), ["flaky"] * 2, ""),
    "a plain job, retried where Again is not atomic": (
        Scenario(enqueue(flaky.new), work_later, "?atomic=no"), ["flaky"] * 2, "done",
    ),
    "a tracked job that is retried": (Scenario(enqueue(flaky_tracked.new), work_later), ["flaky_tracked"] * 2, "done"),
    "a tracked job, retried where Again is not atomic": (
        Scenario(enqueue(flaky_tracked.new), work_later, "?atomic=no"), ["flaky_tracked"] * 2, "done",
    ),
    "a job that is parked by its retry": (Scenario(enqueue(later.new), work), ["later"] * 2, "done"),
    "a chain": (Scenario(enqueue(lambda: tracked.new().then(follow)), work), ["tracked", "follow 7"], "done"),
    "a chain where successors are not atomic": (
        Scenario(enqueue(lambda: tracked.new().then(follow)), work, "?atomic=no"), ["tracked", "follow 7"], "done",
    ),
    "a chain with a long delay": (
        Scenario(enqueue(lambda: tracked.new().then(follow.using(delay="1h").new(7))), work),
        ["tracked", "follow 7"], "done",
    ),
    "a chain of plain jobs with a long delay": (
        Scenario(enqueue(lambda: plain.new().then(flaky.using(delay="1h").new())), work), ["plain", "flaky"], "done",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_worker_may_die_after_any_step(name: str, loop: asyncio.AbstractEventLoop) -> None:
    scenario, expected, outcome = RUNS[name]

    def once_failing(world: World) -> Any:
        failures_left.update(dict.fromkeys(("flaky", "flaky_tracked", "later"), expected.count(expected[0]) - 1))
        return scenario.prepare(world)

    for world, made, repeats, _ in crashes(attrs.evolve(scenario, prepare=once_failing), loop):
        steps = world.wire.calls
        world.finish()
        assert set(ran) == set(expected), steps
        assert len(ran) == len(expected) + repeats, steps
        check_clean(world)
        assert world.names(records.DEAD) == [], steps
        record = world.record(made.id)
        if outcome:
            assert record is not None, steps
        assert record is None or (record.record.state, record.record.outcome) == ("ended", "done"), steps


@pytest.mark.parametrize("using", [{}, {"delay": "1m"}, {"delay": "1h"}], ids=["now", "soon", "parked"])
@pytest.mark.parametrize("handler", [plain, tracked], ids=["plain", "tracked"])
@pytest.mark.parametrize("again", [False, True], ids=["given up", "tried again"])
def test_an_enqueue_may_die_after_any_step(
    using: dict[str, Any], handler: Any, again: bool, loop: asyncio.AbstractEventLoop
) -> None:
    """Whoever saw it return has the job; whoever did not may enqueue the same one again and has it once."""

    def act(world: World, process: Process, made: New[Any]) -> None:
        made.enqueue()

    scenario = Scenario(lambda world: handler.using(**using).new(), act)
    for world, made, _, crashed in crashes(scenario, loop):
        steps = world.wire.calls
        if again:
            world.clock.advance(1)
            with world.process():
                made.enqueue()
        world.finish()
        assert len(ran) == 1 or (crashed and not again and not ran), steps
        check_clean(world)


def test_a_promoter_may_die_after_any_step(loop: asyncio.AbstractEventLoop) -> None:
    def prepare(world: World) -> New[Any]:
        made = enqueue(plain.using(delay="1h").new)(world)
        world.clock.advance(3600)
        return made

    for world, made, repeats, _ in crashes(Scenario(prepare, work), loop):
        steps = world.wire.calls
        world.finish()
        assert len(ran) == 1 + repeats, steps
        check_clean(world)
        record = world.record(made.id)
        assert record is not None
        assert record.record.state == "ended"


@pytest.mark.parametrize("query", ["", "?atomic=no"])
def test_a_dying_jobs_worker_may_die_after_any_step(query: str, loop: asyncio.AbstractEventLoop) -> None:
    def prepare(world: World) -> New[Any]:
        failures_left["hopeless"] = 99
        return enqueue(hopeless.new)(world)

    for world, made, repeats, _ in crashes(Scenario(prepare, work, query), loop):
        steps = world.wire.calls
        world.finish()
        assert len(ran) == 1 + repeats, steps
        check_clean(world)
        with world.process():
            letters = jobs.dead.list()
            assert [letter.id for letter in letters] == [made.id], steps
            assert jobs.dead.count() == 1, steps
            assert "beyond help" in jobs.dead.show(made.id).reason


def test_a_replay_may_die_after_any_step(loop: asyncio.AbstractEventLoop) -> None:
    """Either the dead letter is still there to be replayed, or the job goes on by itself. Never neither, never both."""

    def prepare(world: World) -> New[Any]:
        failures_left["hopeless"] = 1
        made = enqueue(hopeless.new)(world)
        world.finish()
        return made

    def act(world: World, process: Process, made: New[Any]) -> None:
        assert jobs.dead.replay([made.id]) == {made.id: "replayed"}

    for world, made, _, crashed in crashes(Scenario(prepare, act), loop):
        steps = world.wire.calls
        world.finish()
        with world.process():
            still_dead = [letter.id for letter in jobs.dead.list()]
            assert len(still_dead) + len(ran) == 2, steps
            assert crashed or not still_dead
            if still_dead:
                assert jobs.dead.replay(still_dead) == {made.id: "replayed"}
        world.finish()
        assert len(ran) == 2, steps
        check_clean(world)
        with world.process():
            assert jobs.dead.list() == []
            assert jobs.dead.count() == 0, steps
        record = world.record(made.id)
        assert record is not None
        assert (record.record.state, record.record.outcome) == ("ended", "done")


def test_a_purge_of_dead_letters_may_die_after_any_step(loop: asyncio.AbstractEventLoop) -> None:
    def prepare(world: World) -> New[Any]:
        failures_left["hopeless"] = 1
        made = enqueue(hopeless.new)(world)
        world.finish()
        return made

    def act(world: World, process: Process, made: New[Any]) -> None:
        jobs.dead.purge([made.id])

    for world, made, _, _ in crashes(Scenario(prepare, act), loop):
        steps = world.wire.calls
        world.finish()
        with world.process():
            if jobs.dead.list():
                assert jobs.dead.purge([made.id]) == {made.id: "purged"}, steps
            assert jobs.dead.list() == []
            assert jobs.dead.count() == 0, steps
        assert len(ran) == 1
        check_clean(world)


def test_a_worker_may_die_over_a_body_that_it_cannot_read(loop: asyncio.AbstractEventLoop) -> None:
    junk = b"\x80junk"

    def prepare(world: World) -> None:
        with world.process() as process:
            process.backend.transport.send([Message(id="junk", queue="default", body=junk)])

    for world, _, _, _ in crashes(Scenario(prepare, work), loop):
        steps = world.wire.calls
        world.finish()
        check_clean(world)
        with world.process():
            assert [letter.id for letter in jobs.dead.list()] == ["junk"], steps
            assert jobs.dead.count() == 1, steps
            assert jobs.dead.show("junk").body == junk


def test_a_tracked_job_whose_body_was_damaged_dies_and_is_not_waited_for(loop: asyncio.AbstractEventLoop) -> None:
    world = World(jobs, loop)
    with world.process() as process:
        made = tracked.new()
        made.enqueue()
        process.backend.transport.purge("default")
        process.backend.transport.send([Message(id=made.id, queue="default", body=b"{damaged")])
    world.finish()
    check_clean(world)
    record = world.record(made.id)
    assert record is not None
    assert (record.record.state, record.record.type, record.record.track) == ("dead", "tracked", True)


@pytest.mark.parametrize("handler", [plain, tracked], ids=["plain", "tracked"])
def test_a_worker_may_die_at_any_step_of_a_job_in_custody(handler: Any, loop: asyncio.AbstractEventLoop) -> None:
    """The job outlives the broker's longest lease, so that the store takes it over while it runs."""

    def prepare(world: World) -> New[Any]:
        return enqueue(handler.new)(world)

    def act(world: World, process: Process, made: New[Any]) -> None:
        def long() -> None:
            if len(ran) == 1:
                for _ in range(5):
                    world.clock.advance(LEASE * 0.45)
                    process.heartbeat.beat()

        inner = hooks[handler.name]

        def hook() -> None:
            inner()
            long()

        hooks[handler.name] = hook
        process.work()

    for world, made, _, crashed in crashes(Scenario(prepare, act, "?max_lease=200"), loop):
        steps = world.wire.calls
        world.finish()
        assert len(ran) == 1 or (crashed and len(ran) == 2), steps
        check_clean(world)
        record = world.record(made.id)
        assert record is None or (record.record.state, record.record.outcome) == ("ended", "done"), steps
        assert crashed or (record is not None and record.record.generation == 1), "the store never took it over"
