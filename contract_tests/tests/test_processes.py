"""Child processes: they talk, freeze, die, and can have a wrong wall clock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobkit.clock import steady
from jobkit_contract.bench import Bench
from jobkit_contract.child import Talk
from jobkit_contract.clause import Broken
from jobkit_contract.harness import Harness


@pytest.fixture
def bench() -> Iterator[Bench]:
    harness = Harness.of("memory://")
    bench = Bench(harness.fresh_place(), harness=harness)
    yield bench
    bench.teardown()


def tell_times(bench: Bench, talk: Talk) -> None:
    """Runs in the child: what its clocks say, an hour wrong."""
    from jobkit_contract import wall

    wall.set_wrong_by(3600.0)
    store_now = bench.store().now().timestamp()
    talk.say([time.time(), datetime.now(UTC).timestamp(), store_now, steady(), time.time_ns() / 1e9])


def echo(bench: Bench, talk: Talk) -> None:
    while True:
        talk.say(talk.hear())


def fail(bench: Bench, talk: Talk) -> None:
    raise ValueError("the child's own trouble")


HERE = os.path.splitext(os.path.basename(__file__))[0]


@pytest.fixture(autouse=True)
def scripts_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(os.path.dirname(__file__))


def test_a_wrong_clock_deceives_everything_but_the_steady_one(bench: Bench) -> None:
    now, moment = time.time(), steady()
    wall_time, wall_datetime, store_now, child_steady, wall_ns = bench.spawn(f"{HERE}:tell_times", wrong_clock=True).hear()
    for seen in (wall_time, wall_datetime, store_now, wall_ns):
        assert 3600 <= seen - now < 3700
    assert 0 <= child_steady - moment < 100


def test_a_frozen_child_says_nothing_until_it_is_thawed(bench: Bench) -> None:
    child = bench.spawn(f"{HERE}:echo")
    child.say({"a": 1})
    assert child.hear() == {"a": 1}
    child.freeze()
    child.say("frozen")
    with pytest.raises(Broken, match="said nothing"):
        child.hear(within=0.5)
    child.thaw()
    assert child.hear() == "frozen"


def test_a_child_that_fails_shows_its_standard_error(bench: Bench) -> None:
    with pytest.raises(Broken, match="the child's own trouble"):
        bench.spawn(f"{HERE}:fail").hear()


def test_a_killed_child_ends_at_once(bench: Bench) -> None:
    child = bench.spawn(f"{HERE}:echo")
    child.say(1)
    assert child.hear() == 1
    child.kill()
    with pytest.raises(Broken, match="ended without a word"):
        child.hear(within=5)
