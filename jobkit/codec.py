"""Envelopes to bytes and back. Limits come first: what a stranger wrote to the broker must not hurt the worker."""

from __future__ import annotations

import msgspec

from jobkit.envelope import WIRE_VERSION, Envelope
from jobkit.errors import JobKitError

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Envelope)
_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(Envelope))


class Undecodable(JobKitError):
    """A body is no envelope that this version understands. It becomes a dead letter with its raw bytes."""


def encode(envelope: Envelope, original: bytes | None = None) -> bytes:
    """
    The wire form of *envelope*.

    Fields of *original*, the body that it was decoded from, which this version does not know, are carried over: a newer
    producer's fields survive a retry by an older worker.
    """
    body = _ENCODER.encode(envelope)
    return body if original is None else _with_unknown_fields(body, original)


def decode(body: bytes) -> Envelope:
    """
    Raises:
        Undecodable: *body* is not JSON, not an envelope, nested too deeply, or of a newer wire format.
    """
    try:
        envelope = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Undecodable(f"not an envelope: {error}") from error
    if envelope.v != WIRE_VERSION:
        raise Undecodable(f"envelope of wire version {envelope.v}; this version reads {WIRE_VERSION}")
    return envelope


def _with_unknown_fields(body: bytes, original: bytes) -> bytes:
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(original, type=dict[str, msgspec.Raw])
    unknown = {name: value for name, value in fields.items() if name not in _FIELDS}
    if not unknown:
        return body
    known: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return _ENCODER.encode({**known, **unknown})
