"""Lines that strict type checkers must accept, with what they must see. Checked by tests/test_typing.py, never run."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from jobkit import Bound, Enqueued, FailedAttempt, Handler, Handlers, JobKit, JobStatus, New, RetryPolicy, current_job


class Payment: ...


class Hourly:
    def next_delay(self, failed: FailedAttempt) -> float | None:
        return None if failed.matches(ValueError) else 3600.0


jobs = JobKit("memory://", modules=["shop.emails"])
emails = Handlers(prefix="email.")


@jobs.handler(queue="money", retry=RetryPolicy(max_attempts=8, delays=[1, "10m"], give_up_on=(ValueError,)), timeout="1m")
async def charge(order: int) -> Payment:
    return Payment()


@jobs.handler
def invoice(payment: Payment) -> str:
    return ""


@emails.handler
def receipt(order: int, *, template: str = "default") -> None: ...


@emails.handler(retry=Hourly(), track=True, priority="high", aliases=["old"], expires=timedelta(hours=1))
def welcome(user: int, names: list[str] | None = None) -> dict[str, int]:
    current_job().progress(1, 2, "half")
    return {}


@jobs.handler
async def nothing() -> None: ...


async def shapes() -> None:
    handler: Handler[[int], Coroutine[Any, Any, Payment], Payment] = charge
    assert_type(await handler(1), Payment)
    assert_type(await charge(1), Payment)
    assert_type(invoice(Payment()), str)
    welcome(1, ["a"])
    receipt(1, template="x")


def enqueueing() -> None:
    assert_type(charge.enqueue(1), Enqueued[Payment])
    assert_type(charge.enqueue(order=1).wait(5), Payment)
    assert_type(welcome.enqueue(1, names=["a"]).wait(timeout=5), dict[str, int])
    assert_type(welcome.enqueue(1).status(), JobStatus)
    assert_type(nothing.enqueue(), Enqueued[None])
    receipt.enqueue(1, template="x")
    bound = receipt.using(delay="10m", expires=timedelta(days=1), priority="low", headers={"a": "b"})
    bound.enqueue(1)
    receipt.using(at=datetime.now(UTC)).enqueue(1)
    assert_type(charge.using(delay=1).new(2), New[Payment])


def bindings(bound: Bound[[int], Payment]) -> None:
    assert_type(bound.enqueue(1), Enqueued[Payment])
    bindings(charge)
    bindings(charge.using(delay=1))


async def asynchronously() -> None:
    assert_type(await charge.aenqueue(1), Enqueued[Payment])
    assert_type(await (await welcome.aenqueue(1)).await_result(5), dict[str, int])
    assert_type(await charge.new(1).then(invoice).aenqueue(), Enqueued[str])
    await jobs.aenqueue_many([charge.new(1)])


def chains() -> None:
    assert_type(charge.new(1).then(invoice), New[str])
    assert_type(charge.new(1).then(invoice).enqueue().wait(5), str)
    assert_type(charge.new(1).then(invoice).then(receipt.using(delay=1).new(1, template="x")), New[None])
    assert_type(invoice.new(Payment()).then(nothing.new()).then(charge.new(1)).enqueue().wait(1), Payment)


def many() -> None:
    jobs.enqueue_many([receipt.using(delay=1).new(order) for order in range(3)])
    jobs.enqueue_many(charge.new(order) for order in range(3))
    jobs.enqueue_many([charge.new(1), receipt.new(1), charge.new(1).then(invoice)])
    jobs.include(emails)
