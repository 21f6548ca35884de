"""Ending and extending loans: what was sent for them first, the old message last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from jobkit.clock import Clock
from jobkit.errors import JobKitError
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement
from jobkit_sqs.batches import Batches, Entry
from jobkit_sqs.loans import LONGEST_HIDDEN, LOST, TOO_LATE, YES, Loan, hidden_for
from jobkit_sqs.sending import send

_STALE = ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue", "InvalidIdFormat")
"""What SQS calls the receipt handle of a loan that has ended, in one version or another."""


def stored_by(settlement: Settlement) -> Sequence[Message]:
    """What *settlement* would store."""
    match settlement:
        case Done(then=then):
            return then
        case Again(delivery=delivery, message=message):
            if (message.id, message.queue) != (delivery.message.id, delivery.message.queue):
                raise ValueError("Again keeps the message's id and queue")
            return (message,)


class Settling:
    """Settles and extends for one handle. Safe for several threads."""

    def __init__(self, batches: Batches, clock: Clock) -> None:
        self._batches = batches
        self._clock = clock

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """
        Raises:
            Unavailable, SetupRequired, ConfigurationError: Nothing was settled.
        """
        answers: dict[int, Settled] = {}
        claimed: dict[int, Loan] = {}
        try:
            for place, settlement in enumerate(settlements):
                self._claim(place, settlement, claimed, answers)
            unsent = self._send_first({place: settlements[place] for place in claimed}, claimed)
            answers |= unsent
            answers |= self._delete({place: loan for place, loan in claimed.items() if place not in unsent})
        finally:
            for place, loan in claimed.items():
                loan.release(answers.get(place))
        return [self._answer_for(place, settlements, answers) for place in range(len(settlements))]

    def extend(self, deliveries: Sequence[Delivery], lease: float) -> list[Settled]:
        """
        Raises:
            Unavailable, SetupRequired, ConfigurationError: Nothing was extended.
        """
        seconds, asked = hidden_for(lease), self._clock.steady()
        entries, loans = [], [loan_of(delivery) for delivery in deliveries]
        for loan in loans:
            fields = {"ReceiptHandle": loan.handle, "VisibilityTimeout": seconds}
            entries.append(Entry(loan.queue, fields, allowed=self._extensible(loan, seconds)))
        answers = self._batches.carry_out("change_message_visibility_batch", entries, _refused)
        answered = self._clock.steady()
        return [self._extended(loan, answer, asked + lease, answered) for loan, answer in zip(loans, answers, strict=True)]

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Let *deliveries* be due again at once. Where that fails they lapse by themselves."""
        loans = [loan_of(delivery) for delivery in deliveries]
        entries = [
            Entry(loan.queue, {"ReceiptHandle": loan.handle, "VisibilityTimeout": 0}, allowed=self._deletable(loan))
            for loan in loans
        ]
        with suppress(JobKitError):
            self._batches.carry_out("change_message_visibility_batch", entries, _refused)

    def _claim(self, place: int, settlement: Settlement, claimed: dict[int, Loan], answers: dict[int, Settled]) -> None:
        loan = loan_of(settlement.delivery)
        if loan in claimed.values():
            return  # the first one in the batch counts; this one's answer follows from that one's
        refused = loan.claim(self._clock.steady())
        if refused is None:
            claimed[place] = loan
        else:
            answers[place] = refused

    def _answer_for(self, place: int, settlements: Sequence[Settlement], answers: Mapping[int, Settled]) -> Settled:
        if place in answers:
            return answers[place]
        delivery = settlements[place].delivery
        first = next(
            answers[earlier] for earlier in range(place) if settlements[earlier].delivery.receipt is delivery.receipt
        )
        return LOST if first == YES else first

    def _send_first(self, settlements: Mapping[int, Settlement], claimed: Mapping[int, Loan]) -> dict[int, Settled]:
        """Store what is to follow. Gives those for which that did not succeed: their old messages must stay."""
        pairs = [
            (place, message)
            for place, settlement in settlements.items()
            for message in stored_by(settlement)
            if message not in claimed[place].stored
        ]
        unsent: dict[int, Settled] = {}
        for (place, message), sent in zip(pairs, send(self._batches, [message for _, message in pairs]), strict=True):
            if sent.answer is Answer.YES:
                claimed[place].stored.append(message)
            else:
                unsent[place] = _worse(unsent.get(place), sent)
        return unsent

    def _delete(self, claimed: Mapping[int, Loan]) -> dict[int, Settled]:
        entries = [
            Entry(loan.queue, {"ReceiptHandle": loan.handle}, allowed=self._deletable(loan)) for loan in claimed.values()
        ]
        try:
            answers = self._batches.carry_out("delete_message_batch", entries, _refused)
        except JobKitError as error:
            if not any(loan.stored for loan in claimed.values()):
                raise
            answers = [Settled(Answer.UNKNOWN, str(error))] * len(entries)
        now = self._clock.steady()
        pairs = zip(claimed.items(), answers, strict=True)
        return {place: _deleted(loan, answer, now) for (place, loan), answer in pairs}

    def _deletable(self, loan: Loan) -> Callable[[], Settled | None]:
        return lambda: None if self._clock.steady() < loan.until else LOST

    def _extensible(self, loan: Loan, seconds: int) -> Callable[[], Settled | None]:
        def allowed() -> Settled | None:
            now = self._clock.steady()
            if not loan.lives(now):
                return LOST
            if now + seconds > loan.since + LONGEST_HIDDEN:
                return Settled(Answer.FAILED, "SQS lends a message for 12 hours in all, counted from the receive")
            return None

        return allowed

    def _extended(self, loan: Loan, answer: Settled, until: float, answered: float) -> Settled:
        if answer == YES and answered >= loan.until:
            return TOO_LATE
        if answer == YES:
            loan.until = until
        return answer


def loan_of(delivery: Delivery) -> Loan:
    """The receipt; one that lapsed long ago for a delivery that is none of ours."""
    return delivery.receipt if isinstance(delivery.receipt, Loan) else Loan(delivery.message.queue, "-", 0.0, 0.0)


def _deleted(loan: Loan, answer: Settled, now: float) -> Settled:
    if answer == YES and now >= loan.until:
        return TOO_LATE
    if answer.answer is Answer.LOST and loan.stored:
        return Settled(Answer.UNKNOWN, f"what follows was sent, but the lease had ended {answer.reason}")
    return answer


def _worse(known: Settled | None, sent: Sent) -> Settled:
    """Of several messages of one settlement: that one is in doubt counts for more than that one is refused."""
    if known is not None and (known.answer is Answer.UNKNOWN or sent.answer is Answer.FAILED):
        return known
    return Settled(sent.answer, sent.reason)


def _refused(failed: Mapping[str, Any]) -> Settled:
    code = str(failed.get("Code", "")).rpartition(".")[2]
    reason = f"{code}: {failed.get('Message', '')}"
    if code in _STALE:
        return Settled(Answer.LOST, reason)
    return Settled(Answer.FAILED if failed.get("SenderFault") else Answer.UNKNOWN, reason)
