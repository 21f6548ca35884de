"""Time limits of handlers in threads: what they interrupt, and what they leave whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from jobkit.clock import SYSTEM_CLOCK
from jobkit.shield import shielded
from jobkit.worker.time_limits import TimeLimitReached, Watchdog
from tests.worker import app_under_test as app
from tests.worker.shop import Shop, wait_until


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    made = Watchdog(SYSTEM_CLOCK)
    yield made
    made.close()


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_shielded_call_is_whole_and_the_limit_is_raised_behind_it(watchdog: Watchdog) -> None:
    steps: list[str] = []

    @shielded
    def inner() -> None:
        spin(0.2)
        steps.append("inner")

    @shielded
    def outer() -> None:
        inner()
        steps.append("outer")

    def limited() -> None:
        with watchdog.limit(0.05):
            outer()
            steps.append("behind")

    with pytest.raises(TimeLimitReached):
        limited()
    spin(0.1)  # nothing is left to be raised
    outer()
    assert steps == ["inner", "outer", "inner", "outer"]


def test_a_limit_that_is_not_reached_in_a_shielded_call_is_raised_later(watchdog: Watchdog) -> None:
    @shielded
    def short() -> None:
        pass

    def limited() -> None:
        with watchdog.limit(0.1):
            while True:
                short()

    for _ in range(5):
        with pytest.raises(TimeLimitReached):
            limited()


def test_a_limit_within_a_lock_leaves_it_free(watchdog: Watchdog) -> None:
    lock = threading.Lock()

    @shielded
    def careless() -> None:
        lock.acquire(timeout=5)
        spin(0.0001)
        lock.release()

    def limited() -> None:
        with watchdog.limit(0.005):
            while True:
                careless()

    for _ in range(100):
        with pytest.raises(TimeLimitReached):
            limited()
        assert not lock.locked()


def test_handlers_that_are_cut_off_while_they_enqueue_leave_the_backend_usable(shop: Shop) -> None:
    shop.jobs.enqueue_many([app.enqueue_on_and_on.new() for _ in range(60)])
    worker = shop.start()
    wait_until(lambda: shop.jobs.dead.count() == 60, "the time limits")
    last = app.tracked.enqueue(1)
    assert last.wait(60) == 2
    assert shop.terminate(worker) == 0
