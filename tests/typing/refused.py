"""
Lines that strict type checkers must refuse, each one marked. Checked by tests/test_typing.py, never run.

The marks are ignores, so that the usual run over all files passes, and complains itself where one is not needed any more.
"""

from __future__ import annotations

from jobkit import JobKit, RetryPolicy
from tests.typing.api import Payment, charge, emails, invoice, jobs, nothing, receipt, welcome


def arguments() -> None:
    receipt.enqueue("x")  # type: ignore[arg-type]
    receipt.enqueue()  # type: ignore[call-arg]
    receipt.enqueue(1, "x")  # type: ignore[call-arg]
    receipt.enqueue(1, templat="x")  # type: ignore[call-arg]
    receipt.enqueue(1, delay=5)  # type: ignore[call-arg]
    receipt.new("x")  # type: ignore[arg-type]
    receipt.using(delay=1).enqueue()  # type: ignore[call-arg]
    receipt.using(delay=1).new(order="x")  # type: ignore[arg-type]
    welcome.enqueue(1, names="x")  # type: ignore[arg-type]
    nothing.enqueue(1)  # type: ignore[call-arg]
    receipt("x")  # type: ignore[arg-type]


async def asynchronously() -> None:
    await charge.aenqueue("x")  # type: ignore[arg-type]
    _wrong: int = await charge(1)  # type: ignore[assignment]


def options() -> None:
    receipt.using(dealy=1)  # type: ignore[arg-type]
    receipt.using(priority="urgent")  # type: ignore[arg-type]
    receipt.using(delay=[1])  # type: ignore[arg-type]
    receipt.using(at="2026-01-01")  # type: ignore[arg-type]
    jobs.handler(quue="x")  # type: ignore[call-overload]
    jobs.handler(priority="urgent")  # type: ignore[call-overload]
    jobs.handler(retry=3)  # type: ignore[call-overload]
    emails.handler("email")  # type: ignore[call-overload]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
    RetryPolicy(delays=[object()])  # type: ignore[list-item]
    JobKit(defualt="memory://")  # type: ignore[call-arg]


def results() -> None:
    _wrong: int = charge.enqueue(1).wait(5)  # type: ignore[assignment]
    charge.enqueue(1).wait()  # type: ignore[call-arg]
    _text: str = charge.new(1).then(invoice).enqueue().wait("5")  # type: ignore[arg-type]
    _payment: Payment = charge.new(1).then(invoice).enqueue().wait(5)  # type: ignore[assignment]
    _coroutine: Payment = charge(1)  # type: ignore[assignment]


def chains() -> None:
    charge.new(1).then(receipt)  # type: ignore[arg-type]
    charge.new(1).then(nothing)  # type: ignore[arg-type]
    charge.new(1).then(invoice.using(delay=1))  # type: ignore[call-overload]
    charge.then(invoice)  # type: ignore[attr-defined]


def many() -> None:
    jobs.enqueue_many([charge])  # type: ignore[list-item]
    jobs.enqueue_many([charge.enqueue(1)])  # type: ignore[list-item]
    jobs.enqueue_many(charge.new(1))  # type: ignore[arg-type]
    jobs.include(charge)  # type: ignore[arg-type]
