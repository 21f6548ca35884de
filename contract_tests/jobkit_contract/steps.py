"""
The steps that checks are written in: send and insist, take what is due, see that nothing is.

Lateness is judged in seconds, since a busy machine is late by itself; earliness strictly, since nothing excuses it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from jobkit.clock import steady
from jobkit.transport import Again, Answer, Delivery, Depth, Done, Message, Sent, Settled, Transport
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Broken

GRACE = 15.0
"""Seconds by which a busy machine may be late beyond what an adapter declares."""

EARLY = 0.01
"""Seconds that rounding between clocks may cost; nothing may be earlier than that."""

LONG = 60.0
"""A lease that outlives its check."""


def expect(condition: object, message: str) -> None:
    """Assert, also under ``python -O``."""
    if not condition:
        raise Broken(message)


def expect_equal(seen: object, promised: object, what: str) -> None:
    if seen != promised:
        raise Broken(f"{what}: expected {_short(promised)}, saw {_short(seen)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}... ({len(text)} characters)"


def send(transport: Transport, *messages: Message) -> None:
    """Send, and insist on a YES for each."""
    answers = transport.send(messages)
    expect_equal([sent.answer for sent in answers], [Answer.YES] * len(messages), "answers to send")


def receive(
    transport: Transport, *, queues: Sequence[str] = ("jobs",), limit: int = 100, wait: float = 0.0, lease: float = LONG
) -> list[Delivery]:
    """One call, with a long lease."""
    return transport.receive(queues, limit=limit, wait=wait, lease=lease, stop=threading.Event())


def take(
    bench: Bench,
    transport: Transport,
    count: int,
    *,
    queues: Sequence[str] = ("jobs",),
    lease: float = LONG,
    within: float = 0.0,
    limit: int | None = None,
) -> list[Delivery]:
    """Exactly *count* deliveries, waiting for them as long as *within*, the declared slack and grace allow."""
    deadline = steady() + within + bench.capabilities.lease_slack + bench.capabilities.wake_latency + GRACE
    taken: list[Delivery] = []
    while len(taken) < count:
        rest = deadline - steady()
        expect(rest > 0, f"{len(taken)} of {count} messages came in time; the rest is lost or very late")
        most = count - len(taken)
        taken += receive(transport, queues=queues, limit=min(limit or most, most), wait=min(rest, 2.0), lease=lease)
    return taken


def take_one(bench: Bench, transport: Transport, *, lease: float = LONG, within: float = 0.0) -> Delivery:
    return take(bench, transport, 1, lease=lease, within=within)[0]


def nothing_comes(transport: Transport, *, queues: Sequence[str] = ("jobs",), within: float = 0.0, why: str) -> None:
    """Nothing is due now, nor for *within* seconds."""
    deadline = steady() + within
    while True:
        found = receive(transport, queues=queues, wait=max(0.0, min(1.0, deadline - steady())))
        expect(not found, f"{why}, but {len(found)} came: {[_label(each) for each in found[:5]]}")
        if steady() >= deadline:
            return


def _label(delivery: Delivery) -> str:
    return f"{delivery.message.body[:20]!r} (receives {delivery.receives})"


def settle(transport: Transport, *settlements: Done | Again) -> None:
    """Settle, and insist on a YES for each."""
    answers_are(transport.settle(settlements), [Answer.YES] * len(settlements), "answers to settle")


def done(transport: Transport, deliveries: Sequence[Delivery]) -> None:
    settle(transport, *(Done(delivery) for delivery in deliveries))


def extend(transport: Transport, *deliveries: Delivery, lease: float = LONG) -> None:
    """Extend, and insist on a YES for each."""
    answers_are(transport.extend(deliveries, lease=lease), [Answer.YES] * len(deliveries), "answers to extend")


def answers_are(answers: Sequence[Settled] | Sequence[Sent], promised: Sequence[Answer], what: str) -> None:
    seen = [answer.answer.value for answer in answers]
    expect_equal(seen, [answer.value for answer in promised], what)


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]


def ids(things: Sequence[Delivery] | Sequence[Message]) -> list[str]:
    return [thing.message.id if isinstance(thing, Delivery) else thing.id for thing in things]


def depth(transport: Transport, queue: str = "jobs") -> Depth:
    found = transport.depth([queue])
    expect_equal([each.queue for each in found], [queue], "queues that depth answers for")
    return found[0]


def short_lease(bench: Bench, at_least: float = 1.0) -> float:
    """A lease that is meant to lapse soon."""
    return max(bench.capabilities.min_lease, at_least)


def until_lapsed(bench: Bench, lease: float) -> float:
    """Seconds after which a lease of *lease* has lapsed, and has been noticed to have."""
    return lease + bench.capabilities.lease_slack + 0.25


def raises(kind: type[BaseException] | tuple[type[BaseException], ...], call: Any, what: str) -> BaseException:
    """*call* raises *kind*, and nothing else."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = " or ".join(each.__name__ for each in kinds)
    try:
        result = call()
    except kinds as error:
        return error
    except Exception as error:
        raise Broken(f"{what}: expected {names}, was raised {type(error).__name__}: {error}") from error
    raise Broken(f"{what}: expected {names}, came back with {_short(result)}")
