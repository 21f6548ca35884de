"""Consumers that come and go with their receivers: never more messages at hand than somebody asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import attrs

from jobkit.transport import Delivery
from jobkit_rabbitmq.loans import Loan


@attrs.define(eq=False)
class Catch:
    """
    One receiver's request, and what has come for it.

    Attributes:
        queues: Which, in order.
        limit: How many messages it may be handed.
        lease: Seconds.
        window: How many messages each queue's consumer may be given.
        patient: It waits for the first message, rather than for a full hand.
        tags: Its consumers, and what queue each one reads.
        over: It has been answered; whatever comes now is for others.
    """

    queues: Sequence[str]
    limit: int
    lease: float
    window: int
    patient: bool
    outcome: Future[list[Delivery]] = attrs.field(factory=Future)
    tags: dict[str, str] = attrs.field(factory=dict)
    loans: list[Loan] = attrs.field(factory=list)
    over: bool = False

    @property
    def full(self) -> bool:
        return len(self.loans) >= (1 if self.patient else self.limit)

    def answer(self, lend: Callable[[Loan, float], Delivery]) -> list[Loan]:
        """Hand over what has come, the first queue's first; what is too much is left."""
        self.over = True
        order = {queue: place for place, queue in enumerate(self.queues)}
        self.loans.sort(key=lambda loan: order[loan.message.queue])  # stable: oldest first in each
        taken, left = self.loans[: self.limit], self.loans[self.limit :]
        self.outcome.set_result([lend(loan, self.lease) for loan in taken])
        return left

    def fail(self, error: Exception) -> None:
        self.over = True
        if not self.outcome.done():
            self.outcome.set_exception(error)
