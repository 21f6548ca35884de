"""The machine's clock, and the one that tests hold in their hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from jobkit.clock import SYSTEM_CLOCK, ManualClock, steady


def test_steady_seconds_pass_as_seconds_do() -> None:
    before = steady()
    time.sleep(0.05)
    assert 0.04 < steady() - before < 5


def test_the_systems_instants_are_aware_utc() -> None:
    assert SYSTEM_CLOCK.now().utcoffset() == timedelta(0)
    assert abs((SYSTEM_CLOCK.now() - datetime.now(UTC)).total_seconds()) < 5


def test_the_systems_wait_ends_with_its_time() -> None:
    condition = threading.Condition()
    before = time.monotonic()
    with condition:
        SYSTEM_CLOCK.wait(condition, 0.05)
    assert 0.04 < time.monotonic() - before < 5


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
    before = clock.steady()
    time.sleep(0.01)
    assert clock.steady() == before
    clock.advance(90)
    assert clock.steady() == before + 90
    assert clock.now() == datetime(2026, 5, 1, 0, 1, 30, tzinfo=UTC)


def test_moving_the_clock_wakes_who_waits_on_it() -> None:
    clock, condition = ManualClock(), threading.Condition()
    waiting, woken = threading.Event(), threading.Event()

    def wait() -> None:
        with condition:
            waiting.set()
            clock.wait(condition, 3600)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(5)
    with condition:
        pass  # it waits by now: it has let go of the condition
    clock.advance(1)
    assert woken.wait(0.5)
    thread.join()


def test_a_wait_of_no_time_returns_at_once() -> None:
    condition = threading.Condition()
    with condition:
        ManualClock().wait(condition, 0)
        ManualClock().wait(condition, -1)
