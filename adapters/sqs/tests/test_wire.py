"""Bodies through XML 1.0's characters, readable where they can be, and within the limit to the byte."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from jobkit.transport import Message
from jobkit_sqs import wire

Make = Callable[..., Message]


def received(fields: dict[str, object]) -> dict[str, object]:
    """What SQS makes of an entry."""
    return {
        "MessageId": "sqs-id",
        "ReceiptHandle": "handle",
        "Body": fields["MessageBody"],
        "MessageAttributes": fields["MessageAttributes"],
        "Attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1700000000123"},
    }


@pytest.mark.parametrize("body", [b"", b"-", b"\0", b"\r\n", bytes(range(256)), b"\xed\xa0\x80", b"aGk=", "é😀".encode()])
def test_every_body_comes_back_byte_for_byte(body: bytes, message: Make) -> None:
    read = wire.read(received(wire.entry(message("id", body), 0)))
    assert (read.id, read.body, read.receives, read.sent_at) == ("id", body, 3, 1700000000123)


def test_only_characters_that_xml_allows_are_sent(message: Make) -> None:
    for body in (bytes([number]) for number in range(256)):
        text = wire.entry(message("id", body), 0)["MessageBody"]
        assert text
        assert all(character in "\t\n" or " " <= character <= "~" for character in text)


def test_json_in_ascii_stays_readable(message: Make) -> None:
    body = b'{"type":"email","args":{"to":"a@example.org"}}'
    fields = wire.entry(message("0190-ab", body), 0)
    assert fields["MessageBody"] == body.decode()
    assert fields["MessageAttributes"]["jobkit"]["StringValue"] == "1.text.0190-ab"


@pytest.mark.parametrize("name", ["plain", "with space", "a.b.c", "100%", "né", "x" * 512, "new\nline"])
def test_every_id_comes_back(name: str, message: Make) -> None:
    assert wire.refusal(message(name)) == ""
    assert wire.read(received(wire.entry(message(name), 0))).id == name


@pytest.mark.parametrize("name", ["", "x" * 513, "\ud800"])
def test_an_id_that_does_not_fit_is_refused_with_a_reason(name: str, message: Make) -> None:
    assert "message id" in wire.refusal(message(name))


def test_a_delay_is_marked(message: Make) -> None:
    delayed, prompt = (wire.read(received(wire.entry(message("id"), seconds))) for seconds in (5, 0))
    assert (delayed.delayed, prompt.delayed) == (True, False)
    assert delayed.body == prompt.body


def test_the_largest_body_fits_with_its_attribute_however_it_is_encoded(message: Make) -> None:
    for body in (b"x" * wire.MAX_BODY, random.Random(1).randbytes(wire.MAX_BODY)):
        assert wire.size(wire.entry(message("x" * wire.LONGEST_ID, body), 900)) <= wire.MOST_BYTES


def test_what_a_stranger_sent_is_handed_on_as_it_is() -> None:
    raw = {"MessageId": "sqs-id", "ReceiptHandle": "handle", "Body": "hello é"}
    read = wire.read(raw)
    assert (read.id, read.body, read.receives) == ("sqs-id", "hello é".encode(), 1)


@pytest.mark.parametrize("label", ["", "1", "1.text", "2.text.id", "nonsense"])
def test_a_label_of_another_version_or_none_leaves_the_body_alone(label: str) -> None:
    attributes = {"jobkit": {"DataType": "String", "StringValue": label}}
    raw = {"MessageId": "sqs-id", "ReceiptHandle": "handle", "Body": "-", "MessageAttributes": attributes}
    assert (wire.read(raw).id, wire.read(raw).body) == ("sqs-id", b"-")
