"""Messages and settlements as the scripts take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobkit.transport import Again, Answer, Done, Message, Sent, Settled, Settlement

LONGEST_ID = 512

SENT = Sent(Answer.YES)
YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)

Word = str | bytes | int


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def refusal(message: Message) -> str:
    """Why *message* can't be stored, whoever sends it; empty if it can."""
    name = message.id
    if 0 < len(name) <= LONGEST_ID and not any("\ud800" <= character <= "\udfff" for character in name):
        return ""
    return f"message id {name[:40]!r}: allowed are 1 to {LONGEST_ID} characters without lone surrogates"


def refusal_of(settlement: Settlement) -> str:
    """Why what *settlement* would store can't be; empty if it can."""
    return next(filter(None, map(refusal, settlement.then)), "") if isinstance(settlement, Done) else ""


def stored_by(settlements: Sequence[Settlement]) -> list[Message]:
    """
    All messages that *settlements* would store.

    Raises:
        ValueError: An `Again` has another id or queue than what it replaces.
    """
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


def sent_words(message: Message) -> list[Word]:
    return [message.id, microseconds(message.delay), bytes(message.body)]


def settled_words(settlement: Settlement, numbers: Mapping[str, int]) -> list[Word]:
    """
    Args:
        numbers: The place of each queue among the script's keys.
    """
    loan = settlement.delivery
    start: list[Word] = [numbers[loan.message.queue], loan.message.id, str(loan.receipt)]
    match settlement:
        case Again(message=message):
            return [*start, "again", microseconds(message.delay), bytes(message.body)]
        case Done(then=then):
            words = [word for message in then for word in (numbers[message.queue], *sent_words(message))]
            return [*start, "done", len(then), *words]


def size_of(settlement: Settlement) -> int:
    """Bytes of the bodies that *settlement* stores."""
    return sum(len(message.body) for message in stored_by([settlement]))


def queues_of(settlements: Sequence[Settlement]) -> list[str]:
    """The queues concerned, each once."""
    loans = [settlement.delivery.message.queue for settlement in settlements]
    return list(dict.fromkeys([*loans, *(message.queue for message in stored_by(settlements))]))
