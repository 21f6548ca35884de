"""Envelopes to bytes and back. Limits come first: what a stranger wrote to the broker must not hurt the worker."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from jobkit.envelope import ID, QUEUE, WIRE_VERSION, Envelope, Step
from jobkit.errors import JobKitError

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Envelope)
_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(Envelope))

_BRACE = ord("{")
_is_id = re.compile(ID).fullmatch
_is_queue = lru_cache(1024)(re.compile(QUEUE).fullmatch)


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
    Where a name stands twice in an object, the last one counts.

    Raises:
        Undecodable: *body* is not JSON, not an envelope, nested too deeply, or of a newer wire format.
    """
    try:
        envelope = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Undecodable(_why(body, error)) from error
    if envelope.v != WIRE_VERSION:
        raise Undecodable(_other_version(envelope.v))
    _check(envelope)
    for step in envelope.successors:
        _check(step)
    return envelope


def _check(one: Envelope | Step) -> None:
    """What the decoder leaves unchecked."""
    if not _is_id(one.id):
        raise Undecodable(f"not an envelope: {one.id[:200]!r} is no job id")
    if not _is_queue(one.queue):
        raise Undecodable(f"not an envelope: {one.queue[:200]!r} is no queue")
    if memoryview(one.args)[0] != _BRACE:
        raise Undecodable("not an envelope: args is no object")


class _Version(msgspec.Struct):
    v: int


def _why(body: bytes, error: Exception) -> str:
    """A newer version may well differ in its fields, and then its number says more than the first difference does."""
    try:
        version = msgspec.json.decode(body, type=_Version).v
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        version = WIRE_VERSION
    return f"not an envelope: {error}" if version == WIRE_VERSION else _other_version(version)


def _other_version(version: int) -> str:
    return f"envelope of wire version {version}; this version reads {WIRE_VERSION}"


def _with_unknown_fields(body: bytes, original: bytes) -> bytes:
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(original, type=dict[str, msgspec.Raw])
    unknown = {name: value for name, value in fields.items() if name not in _FIELDS}
    if not unknown:
        return body
    known: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return _ENCODER.encode({**known, **unknown})
