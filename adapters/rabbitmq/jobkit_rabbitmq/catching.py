"""Consumers that come and go with their receivers: never more messages at hand than somebody asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

import attrs

from jobkit.transport import Delivery
from jobkit_rabbitmq.loans import Loan

SPARE_FOR = 0.5
"""Seconds for which a message that came too late for its receiver is kept for the next one."""

FIRST = 0.2
"""Seconds for which messages that were seen to be ready, and of which none has come, may be under way."""

STRAGGLERS = 0.02
"""Seconds for which the rest of them may be, once some have come. What comes later goes back, and counts as a delivery."""

MOST_SPARE = 64
"""How many such messages are kept at most."""


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
        give_up_at: When to be content with what is there, on `time.monotonic`; the patient one's receiver decides itself.
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
    give_up_at: float = math.inf
    over: bool = False

    def __attrs_post_init__(self) -> None:
        # Once it is asked for it can't be withdrawn: whatever is delivered has to be answered for.
        self.outcome.set_running_or_notify_cancel()

    @property
    def ripe(self) -> bool:
        return len(self.loans) >= (1 if self.patient else self.limit) or self.give_up_at <= time.monotonic()

    def hurry(self) -> None:
        """All that the broker had to give is on its way, or somebody else has taken it: wait no longer than it may take."""
        self.give_up_at = time.monotonic() + (STRAGGLERS if self.loans else FIRST)

    def answer(self, lend: Callable[[Loan, float], Delivery]) -> list[Loan]:
        """Hand over what has come, the first queue's first; what is too much is left."""
        self.over = True
        order = {queue: place for place, queue in enumerate(self.queues)}
        self.loans.sort(key=lambda loan: order[loan.message.queue])  # stable: oldest first in each
        taken, left = self.loans[: self.limit], self.loans[self.limit :]
        self.outcome.set_result([lend(loan, self.lease) for loan in taken])
        return left

    def fail(self, error: BaseException) -> None:
        self.over = True
        if not self.outcome.done():
            self.outcome.set_exception(error)


class Spare:
    """Messages that came when their receiver had been answered. On loan to nobody, until somebody asks or they go back."""

    def __init__(self) -> None:
        self._loans: list[Loan] = []

    def add(self, loans: Iterable[Loan]) -> None:
        self._loans += loans

    def take(self, queues: Sequence[str], limit: int) -> list[Loan]:
        """At most *limit*, of the first of *queues* first."""
        found = [loan for queue in queues for loan in self._loans if loan.message.queue == queue][:limit]
        self._loans = [loan for loan in self._loans if loan not in found]
        return found

    def stale(self, now: float) -> list[Loan]:
        """Those that nobody has asked for in time, and the latest of too many."""
        going = [loan for place, loan in enumerate(self._loans) if place >= MOST_SPARE or loan.taken + SPARE_FOR <= now]
        self._loans = [loan for loan in self._loans if loan not in going]
        return going

    def next_end(self) -> float | None:
        return min((loan.taken + SPARE_FOR for loan in self._loans), default=None)
