"""Messages, loans and writes as the JSON that the schema's functions take, and their answers read back."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from jobkit.store import Expect, Write, Written
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settled, Settlement

LONGEST_ID = 512

YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)
BUSY = Settled(Answer.UNKNOWN, "a transaction that has not ended holds this job")
SENT = Sent(Answer.YES)


def refusal(message: Message) -> str:
    """Why *message* can't be stored, whoever sends it; empty if it can."""
    name = message.id
    if (
        0 < len(name) <= LONGEST_ID
        and "\x00" not in name
        and not any("\ud800" <= character <= "\udfff" for character in name)
    ):
        return ""
    return f"message id {name[:40]!r}: allowed are 1 to {LONGEST_ID} characters without NUL and lone surrogates"


def encode_messages(messages: Sequence[Message]) -> str:
    return json.dumps([_message(message) for message in messages])


def encode_settlements(settlements: Sequence[Settlement]) -> str:
    return json.dumps([_settlement(settlement) for settlement in settlements])


def encode_loans(deliveries: Sequence[Delivery]) -> str:
    return json.dumps([_loan(delivery) for delivery in deliveries])


def encode_writes(writes: Sequence[Write]) -> str:
    return json.dumps([_write(write) for write in writes])


def read_settled(text: str, size: int) -> list[Settled]:
    """The answers to *size* settlements or extensions."""
    answer = json.loads(text)
    answers = [LOST] * size
    for positions, word in ((answer["yes"], YES), (answer["busy"], BUSY)):
        for position in positions:
            answers[position] = word
    return answers


def read_written(text: str, size: int) -> list[Written]:
    answers = [Written(Answer.LOST)] * size
    for position, version in json.loads(text):
        answers[position] = Written(Answer.YES, version)
    return answers


def _message(message: Message) -> dict[str, Any]:
    return {"id": message.id, "queue": message.queue, "delay": message.delay, "body": b64encode(message.body).decode()}


def _loan(delivery: Delivery) -> dict[str, Any]:
    return {"queue": delivery.message.queue, "id": delivery.message.id, "token": delivery.receipt}


def _settlement(settlement: Settlement) -> dict[str, Any]:
    match settlement:
        case Done(delivery=delivery, then=then):
            return {**_loan(delivery), "then": [_message(message) for message in then]} if then else _loan(delivery)
        case Again(delivery=delivery, message=message):
            return {**_loan(delivery), "again": _message(message)}


def _write(write: Write) -> dict[str, Any]:
    value = None if write.value is None else b64encode(write.value).decode()
    item = {"collection": write.key.collection, "name": write.key.name, "value": value, "ttl": write.ttl}
    if write.expect is Expect.ABSENT:
        item["absent"] = True
    elif isinstance(write.expect, str):
        item["version"] = write.expect
    return item
