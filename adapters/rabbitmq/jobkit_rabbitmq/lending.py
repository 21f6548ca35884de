"""The receiving side: what is caught, what is on loan, and how loans end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import attrs
from amqp import spec
from amqp.basic_message import Message as Packet
from amqp.exceptions import AccessRefused

from jobkit.clock import Clock
from jobkit.errors import JobKitError
from jobkit.transport import Answer, Delivery, Message, Settled
from jobkit_rabbitmq.catching import MOST_SPARE, Catch, Spare
from jobkit_rabbitmq.channel import Channel, Reply
from jobkit_rabbitmq.failures import ReplyLost, words
from jobkit_rabbitmq.loans import Book, Loan
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.queues import Scout
from jobkit_rabbitmq.wire import Wire

IDLE = 60.0
"""Seconds until something will be due, if nothing is; a matter of form, since the link looks at the clock more often."""

YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)


@attrs.define(eq=False)
class Change:
    """
    Loans to settle or to extend, as one call.

    Attributes:
        answers: As far as they are known; None for what was asked of the server and not answered yet.
        asked: Something has been asked.
    """

    loans: Sequence[Loan]
    answers: list[Settled | None] = attrs.field(init=False)
    asked: bool = False

    def __attrs_post_init__(self) -> None:
        self.answers = [LOST] * len(self.loans)


class Lending(Scout):
    """The session of the receiving connection."""

    def __init__(self, wire: Wire, target: Target, clock: Clock) -> None:
        super().__init__(wire, target)
        self._clock = clock
        self._numbers = 0
        self._open_channel()

    # Receiving

    def catch(self, outcome: Future[None], catch: Catch) -> None:
        """Have messages delivered for *catch*, until it is full or nothing more is there; the patient one waits."""
        for queue in catch.queues:
            self._numbers += 1
            tag = str(self._numbers)
            catch.tags[tag], self._catches[tag] = queue, catch
            self._channel.consume(self._names.of(queue), tag, catch.window)
        if not catch.patient:
            # What the consumer was given is under way behind the first reply, and has come before the second as a rule.
            self._after_marker(lambda: self._after_marker(catch.hurry))
        outcome.set_result(None)

    def give_up(self, outcome: Future[None], catch: Catch) -> None:
        """Answer *catch* with what is there."""
        self._answer(catch)
        outcome.set_result(None)

    def take_spare(self, outcome: Future[list[Delivery]], queues: Sequence[str], limit: int, lease: float) -> None:
        """What others have left of *queues*, in order."""
        outcome.set_result([self._lend(loan, lease) for loan in self._spare.take(queues, limit)])

    # Loans

    def pin(self, outcome: Future[list[bool]], loans: Sequence[Loan]) -> None:
        """Keep those that live from lapsing, while their successors are sent."""
        now = self._clock.steady()
        alive = [self._holds(loan, now) and not loan.pinned for loan in loans]
        for loan, lives in zip(loans, alive, strict=True):
            loan.pinned |= lives
        outcome.set_result(alive)

    def unpin(self, outcome: Future[None], loans: Sequence[Loan]) -> None:
        """Let them lapse as usual."""
        for loan in loans:
            loan.pinned = False
        outcome.set_result(None)

    def settle(self, outcome: Future[None], change: Change) -> None:
        """Have the messages removed."""
        now = self._clock.steady()
        for number, loan in enumerate(change.loans):
            if self._holds(loan, now):
                loan.until = None
                change.answers[number] = None
                change.asked = True
                self._channel.send_method(spec.Basic.Ack, "Lb", (loan.tag, False))
        self._confirm(change, outcome)

    def extend(self, outcome: Future[None], change: Change, lease: float) -> None:
        """Move the ends of loans, and ask whether the channel that holds them still stands."""
        now = self._clock.steady()
        longest = self._target.options.max_lease
        for number, loan in enumerate(change.loans):
            if not self._holds(loan, now):
                continue
            if now + lease > loan.taken + longest:
                reason = f"held since {now - loan.taken:.0f} s; max_lease is {longest:.0f} s"
                change.answers[number] = Settled(Answer.FAILED, reason)
                continue
            loan.extend(now + lease)
            change.answers[number] = None
            change.asked = True
        self._confirm(change, outcome)

    def purge_spare(self, outcome: Future[int], queue: str) -> None:
        """Remove what is kept for later receivers, as it is on loan to nobody."""
        gone = self._spare.take([queue], MOST_SPARE)
        for loan in gone:
            self._channel.send_method(spec.Basic.Ack, "Lb", (loan.tag, False))
        outcome.set_result(len(gone))

    # The link's side

    def turn(self) -> float:
        now = self._clock.steady()
        catches = {id(catch): catch for catch in self._catches.values() if not catch.over}
        for catch in catches.values():
            if catch.ripe:
                self._answer(catch)
        for loan in self._book.lapsed(now):
            loan.until = None
            self._give_back(loan)
        for loan in self._spare.stale(now):
            self._give_back(loan)
        ends = [end for end in (self._book.next_end(), self._spare.next_end()) if end is not None]
        hurry = [catch.give_up_at - time.monotonic() for catch in catches.values() if not catch.over]
        return max(0.0, min([end - now for end in ends] + hurry, default=IDLE))

    def broken(self, error: JobKitError) -> None:
        super().broken(error)
        self._channel.fail(error)

    def _open_channel(self) -> None:
        self._book = Book()
        self._catches: dict[str, Catch] = {}
        self._spare = Spare()
        self._channel = Channel(self._wire.connection, self._on_event)
        self._channel.on_closed = self._on_closed

    def _on_closed(self, error: Exception) -> None:
        """Everything that was on loan has gone back to the broker."""
        self._book.closed = True
        catches = {id(catch): catch for catch in self._catches.values() if not catch.over}
        if not isinstance(error, JobKitError):
            self._open_channel()
        if not isinstance(error, JobKitError | AccessRefused):
            error = ReplyLost(f"{self._target.masked}: the server closed the channel: {words(error)}")
        for catch in catches.values():
            catch.fail(error)

    def _on_event(self, name: str, *arguments: Any) -> None:
        if name == "Deliver":
            self._on_deliver(*arguments)
        elif name == "Cancel":
            catch = self._catches.pop(arguments[0], None)
            if catch is not None:
                self._answer(catch)

    def _on_deliver(self, tag: str, number: int, redelivered: bool, _exchange: str, name: str, packet: Packet) -> None:
        catch = self._catches.get(tag)
        queue = catch.tags[tag] if catch else name.removeprefix(self._names.of(""))
        message = Message(id=packet.properties.get("message_id") or uuid.uuid4().hex, queue=queue, body=packet.body or b"")
        loan = Loan(self._book, number, message, receives(packet, redelivered), self._clock.steady())
        if catch is None or catch.over:
            self._spare.add([loan])
        else:
            catch.loans.append(loan)

    def _answer(self, catch: Catch) -> None:
        if catch.over:
            return
        for tag in catch.tags:
            if tag in self._catches:
                self._channel.cancel(tag).add_done_callback(partial(self._forget, tag))
        self._spare.add(catch.answer(self._lend))

    def _forget(self, tag: str, _cancelled: Reply) -> None:
        self._catches.pop(tag, None)

    def _lend(self, loan: Loan, lease: float) -> Delivery:
        return loan.lend(self._clock.steady() + min(lease, self._target.options.max_lease))

    def _holds(self, loan: Loan, now: float) -> bool:
        """Loans of another channel, another transport or a parent process are none of this one's."""
        return loan.book is self._book and loan.lives(now)

    def _give_back(self, loan: Loan) -> None:
        # Rejected rather than nacked: RabbitMQ 4.3 counts only that towards the delivery limit and x-delivery-count.
        self._channel.send_method(spec.Basic.Reject, "Lb", (loan.tag, True))

    def _confirm(self, change: Change, outcome: Future[None]) -> None:
        """Once the server has answered what was sent after them, it has taken the acknowledgements in."""
        if not change.asked:
            outcome.set_result(None)
            return

        def read(reply: Reply) -> None:
            if error := reply.exception():
                outcome.set_exception(error)
                return
            change.answers = [YES if answer is None else answer for answer in change.answers]
            outcome.set_result(None)

        self._channel.marker().add_done_callback(read)

    def _after_marker(self, then: Callable[[], None]) -> None:
        self._channel.marker().add_done_callback(lambda reply: None if reply.exception() else then())


def receives(packet: Packet, redelivered: bool) -> int:
    """How often the broker has handed the message out, this time included. Quorum queues count in a header."""
    headers = packet.properties.get("application_headers") or {}
    count = headers.get("x-delivery-count", 0)
    return max(int(count) + 1, 2 if redelivered else 1)
