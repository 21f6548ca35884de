"""Bytes to envelopes and back: whatever stands in a broker, decoding it ends in an envelope or in `Undecodable`."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit import codec
from jobkit.codec import Undecodable
from tests.test_envelope import FULL, envelope

BASE: dict[str, Any] = json.loads(codec.encode(envelope()))


def body(**changes: Any) -> bytes:
    return json.dumps({**BASE, **changes}).encode()


def raw(args: bytes) -> bytes:
    """An envelope with *args* as they are, JSON or not."""
    return codec.encode(envelope()).replace(b'{"a":1}', args)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"text"',
        b"\xff\xfe",
        b"\x00" * 100,
        bytes(range(256)),
        b"\xef\xbb\xbf{}",
        codec.encode(envelope())[:-1],
        codec.encode(envelope()) + b"x",
        codec.encode(envelope()).replace(b'"send"', b'"\xff"'),
        b"\x80\x04\x95",
    ],
)
def test_junk_is_undecodable(junk: bytes) -> None:
    with pytest.raises(Undecodable):
        codec.decode(junk)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": 7},
        {"id": "a\nb"},
        {"id": "a\n"},
        {"id": "a/b"},
        {"id": "x" * 300},
        {"queue": "a b"},
        {"queue": "a\n"},
        {"args": 5},
        {"args": [1]},
        {"enqueued_at": "yesterday"},
        {"enqueued_at": "2026-01-01T00:00:00"},
        {"expires_at": "2026-01-01T00:00:00"},
        {"due": "2026-01-01T00:00:00"},
        {"unknown_since": "2026-01-01T00:00:00"},
        {"spent": 10**30},
        {"spent": -1},
        {"spent": 1.5},
        {"type": "x" * 201},
        {"successors": [{"id": "s", "type": "t", "queue": "q", "args": 5, "result_as": "x"}]},
        {"successors": [{"id": "s", "type": "t", "queue": "q", "args": {}, "delay": 1e300}]},
        {"successors": [{"id": "s/", "type": "t", "queue": "q", "args": {}}]},
    ],
)
def test_what_would_hurt_the_worker_later_is_undecodable_at_once(changes: dict[str, Any]) -> None:
    """A naive instant cannot be compared, a strange id names no record, a strange queue cannot be sent to."""
    with pytest.raises(Undecodable):
        codec.decode(body(**changes))


@pytest.mark.parametrize("changes", [{"v": 2}, {"v": 2, "args": 5, "id": {"new": "form"}}, {"v": 0}])
def test_another_wire_version_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(Undecodable, match=f"wire version {changes['v']}; this version reads 1"):
        codec.decode(body(**changes))


@pytest.mark.parametrize("depth", [5_000, 100_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_undecodable_wherever_it_stands(depth: int, opening: bytes, closing: bytes) -> None:
    deep = opening * depth + b"1" + closing * depth
    for text in (raw(b'{"a":' + deep + b"}"), codec.encode(envelope())[:-1] + b',"future":' + deep + b"}", deep):
        with pytest.raises(Undecodable):
            codec.decode(text)


def test_deep_nesting_is_undecodable_in_a_thread_with_a_small_stack() -> None:
    found: list[Exception] = []

    def decode() -> None:
        try:
            codec.decode(raw(b'{"a":' + b"[" * 100_000))
        except Undecodable as error:
            found.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(found) == 1


def test_of_a_name_that_stands_twice_the_last_one_counts() -> None:
    twice = codec.encode(envelope()).replace(b'"id":"job-1"', b'"id":"first","args":{"b":2},"id":"second"')
    decoded = codec.decode(twice)
    assert (decoded.id, bytes(decoded.args)) == ("second", b'{"a":1}')
    again = json.loads(codec.encode(decoded.replace(spent=1), twice))
    assert (again["id"], again["args"]) == ("second", {"a": 1})


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_undecodable(junk: bytes) -> None:
    with pytest.raises(Undecodable):
        codec.decode(junk)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FULL_JSON: dict[str, Any] = json.loads(codec.encode(FULL))


@given(st.dictionaries(st.sampled_from(sorted(FULL_JSON)), JSON, min_size=1, max_size=3), st.data())
def test_an_envelope_with_anything_in_its_fields_is_decoded_or_undecodable(
    changes: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps({**FULL_JSON, **changes}).encode()
    cut = data.draw(st.integers(len(text) // 2, len(text)))
    for one in (text, text[:cut]):
        with contextlib.suppress(Undecodable):
            codec.encode(codec.decode(one), one)


def test_fields_of_a_newer_producer_survive_a_change_by_an_older_worker() -> None:
    original = body(shard=[1, {"x": None}], spent=0, region="eu")
    again = json.loads(codec.encode(codec.decode(original).replace(spent=1, tracked=True), original))
    assert (again["shard"], again["region"], again["spent"], again["tracked"]) == ([1, {"x": None}], "eu", 1, True)


def test_a_known_field_that_was_dropped_does_not_come_back_from_the_original() -> None:
    original = codec.encode(FULL)
    again = json.loads(codec.encode(FULL.replace(unknown_since=None, failures=()), original))
    assert "unknown_since" not in again
    assert "failures" not in again
