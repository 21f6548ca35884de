"""
Bodies as SQS takes them. It takes text only, of which XML 1.0 leaves out some characters: ASCII travels as it is, so that
it can be read in the console, and everything else as base64.

One message attribute, ``jobkit``, says how to read the body, and which message it is: ``1.text.<id>``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import attrs

from jobkit.transport import Message

ATTRIBUTE = "jobkit"
VERSION = "1"

MOST_BYTES = 1024 * 1024
"""What SQS takes in one message, and in one batch of them: bodies, and names, types and values of attributes."""

LONGEST_ID = 512

MAX_BODY = (MOST_BYTES - 1024) // 4 * 3
"""As base64, with room for the attribute."""

_LATER = "+later"
_PLAIN = re.compile(rb"[\t\n\x20-\x7e]+")
# Every printable character of ASCII but '%', by which the others are written.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")

SYSTEM = ["ApproximateReceiveCount", "SentTimestamp"]
"""What a receive asks SQS about each message."""


@attrs.frozen
class Incoming:
    """
    One received message, read.

    Attributes:
        delayed: It was sent with a delay, so a purge could not see it before.
        sent_at: Milliseconds on SQS's own clock.
    """

    id: str
    body: bytes = attrs.field(repr=False)
    delayed: bool
    receives: int
    sent_at: int
    handle: str = attrs.field(repr=False)


def refusal(message: Message) -> str:
    """Why *message* can't be sent; empty if it can."""
    try:
        fits = 0 < len(_quoted(message.id)) <= LONGEST_ID
    except UnicodeEncodeError:
        fits = False
    return "" if fits else f"message id {message.id[:40]!r}: allowed are 1 to {LONGEST_ID} characters, percent-encoded"


def entry(message: Message, seconds: int) -> dict[str, Any]:
    """*message* as SendMessage takes it, to be due after *seconds*."""
    kind, text = _encoded(message.body)
    label = f"{VERSION}.{kind}{_LATER if seconds else ''}.{_quoted(message.id)}"
    return {
        "MessageBody": text,
        "DelaySeconds": seconds,
        "MessageAttributes": {ATTRIBUTE: {"DataType": "String", "StringValue": label}},
    }


def size(fields: Mapping[str, Any]) -> int:
    """The bytes of an entry that SQS counts."""
    counted = sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"]) for name, value in fields["MessageAttributes"].items()
    )
    return len(fields["MessageBody"]) + counted


def read(raw: Mapping[str, Any]) -> Incoming:
    """A message as ReceiveMessage gives it. One that jobkit did not send is handed on as it is, under SQS's own id."""
    kind, name = _label(raw)
    system = raw.get("Attributes", {})
    return Incoming(
        id=name,
        body=_decoded(kind.removesuffix(_LATER), raw["Body"]),
        delayed=kind.endswith(_LATER),
        receives=max(1, int(system.get("ApproximateReceiveCount", 1))),
        sent_at=int(system.get("SentTimestamp", 0)),
        handle=raw["ReceiptHandle"],
    )


def _label(raw: Mapping[str, Any]) -> tuple[str, str]:
    value = raw.get("MessageAttributes", {}).get(ATTRIBUTE, {}).get("StringValue", "")
    version, _, rest = value.partition(".")
    kind, _, name = rest.partition(".")
    return (kind, unquote(name)) if version == VERSION and name else ("text", raw["MessageId"])


def _encoded(body: bytes) -> tuple[str, str]:
    if not body:
        return "empty", "-"  # SQS refuses a body of no characters
    if _PLAIN.fullmatch(body):
        return "text", body.decode("ascii")
    return "base64", b64encode(body).decode("ascii")


def _decoded(kind: str, text: str) -> bytes:
    if kind == "base64":
        return b64decode(text)
    return b"" if kind == "empty" else text.encode()


def _quoted(name: str) -> str:
    return quote(name, safe=_SAFE)
