"""How loans end: what follows a job is sent and confirmed first, and only then the job goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

import attrs

from jobkit.errors import Closed, JobKitError
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement
from jobkit_rabbitmq.lending import LOST, Change, Lending
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.loans import Loan

Publish = Callable[[Sequence[Message], float], list[Sent]]


def stored_by(settlement: Settlement) -> Sequence[Message]:
    """The messages that *settlement* would store, once an `Again` has been found to keep its id and queue."""
    match settlement:
        case Done(then=then):
            return then
        case Again(delivery=delivery, message=message):
            if (message.id, message.queue) != (delivery.message.id, delivery.message.queue):
                raise ValueError("Again keeps the message's id and queue")
            return [message]


@attrs.define(eq=False)
class _Step:
    """One settlement on its way; *answer* is None until it is known."""

    loan: Loan | None
    messages: Sequence[Message]
    answer: Settled | None = None


def settle(link: Link[Lending], publish: Publish, settlements: Sequence[Settlement], deadline: float) -> list[Settled]:
    """
    One answer per settlement, in order. Of two settlements of one loan the first counts.

    Raises:
        Unavailable: Nothing was settled.
    """
    steps = _steps(settlements)
    sending = [step for step in steps if step.loan is not None and step.messages]
    if sending:
        pinned = _pin(link, sending, deadline)
        try:
            _send_first(publish, pinned, deadline)
            _end(link, steps, deadline)
        finally:
            with suppress(Closed):
                link.post(Lending.unpin, _loans(pinned))
    else:
        _end(link, steps, deadline)
    return [step.answer or LOST for step in steps]


def living(delivery: Delivery) -> Loan | None:
    """Its loan; None if that has ended with its connection, or never was one of ours."""
    loan = delivery.receipt
    return loan if isinstance(loan, Loan) and not loan.book.closed else None


def _steps(settlements: Sequence[Settlement]) -> list[_Step]:
    steps: list[_Step] = []
    seen: set[int] = set()
    for settlement in settlements:
        loan = living(settlement.delivery)
        if id(loan) in seen:
            loan = None
        seen.add(id(loan))
        steps.append(_Step(loan, stored_by(settlement), None if loan else LOST))
    return steps


def _loans(steps: Sequence[_Step]) -> list[Loan]:
    return [step.loan for step in steps if step.loan is not None]


def _pin(link: Link[Lending], steps: Sequence[_Step], deadline: float) -> list[_Step]:
    """Those of *steps* whose loans live, and will until they are unpinned."""
    alive = link.call(deadline, Lending.pin, _loans(steps))
    for step, lives in zip(steps, alive, strict=True):
        step.answer = None if lives else LOST
    return [step for step in steps if step.answer is None]


def _send_first(publish: Publish, steps: Sequence[_Step], deadline: float) -> None:
    sent = iter(publish([message for step in steps for message in step.messages], deadline))
    for step in steps:
        step.answer = _unless_all_sent([next(sent) for _ in step.messages])


def _unless_all_sent(answers: Sequence[Sent]) -> Settled | None:
    """Why the job has to stay; None if it may go."""
    kinds = {sent.answer for sent in answers}
    if kinds == {Answer.YES}:
        return None
    reason = next(sent.reason for sent in answers if sent.answer is not Answer.YES)
    return Settled(Answer.FAILED if kinds == {Answer.FAILED} else Answer.UNKNOWN, reason)


def _end(link: Link[Lending], steps: Sequence[_Step], deadline: float) -> None:
    """Have the jobs removed whose successors, if any, are safe."""
    ending = [step for step in steps if step.answer is None]
    sent = any(step.messages for step in ending)
    answers = change(link, Lending.settle, _loans(ending), deadline, begun=sent) if ending else []
    for step, answer in zip(ending, answers, strict=True):
        late = answer is LOST and step.messages
        step.answer = Settled(Answer.UNKNOWN, "what follows was sent, and then the loan was lost") if late else answer


def change(
    link: Link[Lending],
    command: Callable[[Lending, Future[None], Change], None],
    loans: Sequence[Loan],
    deadline: float,
    *,
    begun: bool = False,
) -> list[Settled]:
    """
    Settle or extend *loans*. Where the reply is lost, what was asked for is UNKNOWN.

    Args:
        begun: Something was changed before, so that "nothing was settled" would not be true.

    Raises:
        Unavailable: Nothing was changed.
    """
    asked = Change(loans)
    try:
        link.call(deadline, command, asked)
    except JobKitError as error:
        if not asked.asked and not begun:
            raise
        unknown = Settled(Answer.UNKNOWN, str(error))
        return [unknown if answer is None or not asked.asked else answer for answer in asked.answers]
    return [answer or LOST for answer in asked.answers]
