"""How loans end: what follows a job is sent and confirmed first, and only then the job goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from jobkit.errors import JobKitError
from jobkit.transport import Again, Answer, Done, Message, Sent, Settled, Settlement
from jobkit_rabbitmq.lending import LOST, Change, Lending
from jobkit_rabbitmq.link import Command, Link
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

    loan: Loan
    messages: Sequence[Message]
    answer: Settled | None = None


def settle(link: Link[Lending], publish: Publish, settlements: Sequence[Settlement], deadline: float) -> list[Settled]:
    """
    One answer per settlement, in order. Of two settlements of one loan the first counts.

    Raises:
        Unavailable: Nothing was settled.
    """
    steps = [_Step(each.delivery.receipt, stored_by(each)) for each in settlements]
    seen: set[int] = set()
    for step in steps:
        if not isinstance(step.loan, Loan) or step.loan.book.closed or id(step.loan) in seen:
            step.answer = LOST
        seen.add(id(step.loan))
    sending = [step for step in steps if step.answer is None and step.messages]
    if not sending:
        return _end(link, steps, deadline)
    try:
        _send_first(link, publish, sending, deadline)
        return _end(link, steps, deadline)
    finally:
        link.post(lambda session, outcome: session.unpin([step.loan for step in sending], outcome))


def _send_first(link: Link[Lending], publish: Publish, steps: Sequence[_Step], deadline: float) -> None:
    alive = link.call(lambda session, outcome: session.pin([step.loan for step in steps], outcome), deadline)
    for step, lives in zip(steps, alive, strict=True):
        step.answer = None if lives else LOST
    living = [step for step in steps if step.answer is None]
    sent = iter(publish([message for step in living for message in step.messages], deadline))
    for step in living:
        step.answer = _unless_all_sent([next(sent) for _ in step.messages])


def _unless_all_sent(answers: Sequence[Sent]) -> Settled | None:
    """Why the job has to stay; None if it may go."""
    kinds = {sent.answer for sent in answers}
    if kinds == {Answer.YES}:
        return None
    reason = next(sent.reason for sent in answers if sent.answer is not Answer.YES)
    return Settled(Answer.FAILED if kinds == {Answer.FAILED} else Answer.UNKNOWN, reason)


def _end(link: Link[Lending], steps: Sequence[_Step], deadline: float) -> list[Settled]:
    ending = [step for step in steps if step.answer is None]
    change = Change([step.loan for step in ending])
    if ending:
        ask(
            link, change, lambda session, outcome: session.settle(change, outcome), deadline, any(s.messages for s in ending)
        )
    for step, answer in zip(ending, change.answers, strict=True):
        if answer is LOST and step.messages:
            answer = Settled(Answer.UNKNOWN, "what follows was sent, and then the loan was lost")
        step.answer = answer
    return [step.answer or LOST for step in steps]


def ask(link: Link[Lending], change: Change, command: Command[Lending], deadline: float, begun: bool = False) -> None:
    """
    Carry *change* out; where its reply is lost, what was asked for is UNKNOWN.

    Args:
        begun: Something was changed before, so that "nothing was settled" would not be true.
    """
    try:
        link.call(command, deadline)
    except JobKitError as error:
        if not change.asked and not begun:
            raise
        unknown = Settled(Answer.UNKNOWN, str(error))
        change.answers = [unknown if answer is None or not change.asked else answer for answer in change.answers]
