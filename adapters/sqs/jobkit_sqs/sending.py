"""Sending: in tens, each message with its own answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobkit.transport import Answer, Message, Sent, Settled
from jobkit_sqs import wire
from jobkit_sqs.batches import Batches, Entry


def send(batches: Batches, messages: Sequence[Message]) -> list[Sent]:
    """
    Raises:
        Unavailable, SetupRequired, ConfigurationError: Nothing was sent.
    """
    reasons = [wire.refusal(message) for message in messages]
    good = [_entry(message) for message, reason in zip(messages, reasons, strict=True) if not reason]
    answers = iter(batches.carry_out("send_message_batch", good, _refused))
    return [Sent(Answer.FAILED, reason) if reason else _sent(next(answers)) for reason in reasons]


def _entry(message: Message) -> Entry:
    # Whole seconds only: rounded up, since nothing may start before its time.
    fields = wire.entry(message, math.ceil(message.delay))
    return Entry(message.queue, fields, size=wire.size(fields))


def _sent(settled: Settled) -> Sent:
    return Sent(settled.answer, settled.reason)


def _refused(failed: Mapping[str, Any]) -> Settled:
    """What SQS could not do this time may go well the next; what it blames on the sender never will."""
    reason = f"{failed.get('Code', '')}: {failed.get('Message', '')}"
    throttled = "hrottl" in reason
    return Settled(Answer.FAILED if failed.get("SenderFault") and not throttled else Answer.UNKNOWN, reason)
