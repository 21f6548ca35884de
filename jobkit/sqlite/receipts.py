"""How a loan is recognised, and how a message's delay is written down: what both ways to the jobs' table share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobkit.transport import Again, Delivery, Done, Message, Settlement

READY, DELAYED, LENT = 0, 1, 2
"""A job's states, as the SQL has them."""


class Receipt(NamedTuple):
    """
    One loan: the job's row, and a number that only this `receive` has given out.

    One number for the whole batch will do, since a row stands in it once; and a batch is then settled by one statement.
    """

    seq: int
    token: int


def receipt_of(delivery: Delivery) -> Receipt:
    """A foreign receipt fits no row, so it is answered by LOST."""
    return delivery.receipt if isinstance(delivery.receipt, Receipt) else Receipt(-1, -1)


def state_and_wake(message: Message, now: float) -> tuple[int, float]:
    return (DELAYED if message.delay > 0 else READY), now + message.delay


def successors_of(settlements: Sequence[Settlement]) -> list[Message]:
    """All messages that *settlements* would store, once each `Again` has been found to keep its id and queue."""
    messages: list[Message] = []
    for settlement in settlements:
        match settlement:
            case Done(then=then):
                messages.extend(then)
            case Again(delivery=delivery, message=message):
                if (message.id, message.queue) != (delivery.message.id, delivery.message.queue):
                    raise ValueError("Again keeps the message's id and queue")
                messages.append(message)
    return messages
