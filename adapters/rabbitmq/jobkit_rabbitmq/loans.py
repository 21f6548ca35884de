"""What is on loan through one channel, and until when. The broker knows no leases: whoever borrows gives back."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

import attrs

from jobkit.transport import Delivery, Message

PINNED_FOR = 1.0
"""Seconds after which a loan that is being settled, and is over its time, is looked at again."""


class Book:
    """
    The loans of one channel by their ends. For the thread that owns the channel.

    Attributes:
        closed: The channel is gone; the broker has taken everything back, or will.
    """

    def __init__(self) -> None:
        self.closed = False
        self._numbers = itertools.count()
        self._ends: list[tuple[float, int, Loan]] = []

    def watch(self, end: float, loan: Loan) -> None:
        heapq.heappush(self._ends, (end, next(self._numbers), loan))

    def lapsed(self, now: float) -> Iterator[Loan]:
        """Those whose time has come. The entries of ended and of extended loans are passed over."""
        while self._ends and self._ends[0][0] <= now:
            end, _, loan = heapq.heappop(self._ends)
            if loan.until is None or loan.until > end:
                continue
            if loan.pinned:
                self.watch(now + PINNED_FOR, loan)
            else:
                yield loan

    def next_end(self) -> float | None:
        return self._ends[0][0] if self._ends else None


@attrs.define(eq=False)
class Loan:
    """
    One delivery's handle.

    Attributes:
        book: Where it is written down.
        tag: The broker's number for it, which means something on its own channel only.
        taken: When the broker handed it out, on the adapter's clock.
        until: When it has to go back; None while it is lent to nobody, and once it has ended.
        pinned: The first half of a settlement is done, so it may end a little late: it is held by this channel, and
            nobody else can have it.
    """

    book: Book = attrs.field(repr=False)
    tag: int
    message: Message
    receives: int
    taken: float
    until: float | None = None
    pinned: bool = False

    def lives(self, now: float) -> bool:
        return not self.book.closed and self.until is not None and (self.pinned or self.until > now)

    def lend(self, until: float) -> Delivery:
        self.extend(until)
        return Delivery(message=self.message, receives=self.receives, lease_until=until, receipt=self)

    def extend(self, until: float) -> None:
        self.until = until
        self.book.watch(until, self)
