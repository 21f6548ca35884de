"""Middleware wraps every run it applies to, the first one outermost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jobkit import Both, Job, JobKit, RetryPolicy, current_job
from jobkit.middleware import wrap, wrap_async

said: list[str] = []


def outer(job: Job, call_next: Callable[[], Any]) -> Any:
    said.append(f"outer {job.type}")
    try:
        return call_next()
    finally:
        said.append("outer ends")


def doubled(job: Job, call_next: Callable[[], Any]) -> Any:
    said.append("doubled")
    return call_next() * 2


async def tripled(job: Job, call_next: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(0)
    said.append("tripled")
    return await call_next() * 3


def _both_sync(job: Job, call_next: Callable[[], Any]) -> Any:
    said.append("both, sync")
    return call_next()


async def _both_async(job: Job, call_next: Callable[[], Awaitable[Any]]) -> Any:
    said.append("both, async")
    return await call_next()


jobs = JobKit(middleware=[outer, Both(sync=_both_sync, asynchronous=_both_async), doubled, tripled])


@jobs.handler(track=True)
def plain(value: int) -> int:
    said.append(f"plain in {current_job().type}")
    return value


@jobs.handler(track=True)
async def coroutine(value: int) -> int:
    said.append(f"coroutine in {current_job().type}")
    return value


@jobs.handler(track=True, retry=RetryPolicy(max_attempts=1))
def failing() -> None:
    raise ValueError("inside")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    said.clear()


def test_def_and_async_handlers_get_the_middleware_of_their_kind_in_order() -> None:
    with jobs.test() as bench:
        one, two = plain.enqueue(5), coroutine.enqueue(5)
        bench.run()
        assert (one.wait(1), two.wait(1)) == (10, 15)
    assert said == [
        *("outer plain", "both, sync", "doubled", "plain in plain", "outer ends"),
        *("both, async", "tripled", "coroutine in coroutine"),
    ]


def test_what_a_handler_raises_passes_through_them() -> None:
    with jobs.test() as bench:
        dead = failing.enqueue()
        bench.run()
        assert "inside" in jobs.dead.show(dead.id).reason
    assert said == ["outer failing", "both, sync", "doubled", "outer ends"]


def test_a_direct_call_is_not_wrapped() -> None:
    assert plain.function.__name__ == "plain"
    with pytest.raises(LookupError):
        plain(1)
    assert said == []


JOB = Job(
    id="a", type="t", queue="q", attempt=1, redelivered=False, enqueued_at=datetime(2026, 1, 1, tzinfo=UTC), headers={}
)


def test_a_middleware_may_answer_without_the_handler() -> None:
    assert wrap([lambda job, call_next: "cached"], JOB, lambda: "ran")() == "cached"


def test_without_middleware_the_handler_is_called_as_it_is() -> None:
    def call() -> int:
        return 1

    async def acall() -> int:
        return 1

    assert wrap([], JOB, call) is call
    assert wrap_async([outer, doubled], JOB, acall) is acall
