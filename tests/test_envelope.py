"""The wire form: its golden file, its published schema, and what follows a success."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a distribution of their own
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobkit
from jobkit import codec
from jobkit.envelope import WIRE_VERSION, Envelope, Failure, Step, successor
from jobkit.queues import Priority

GOLDEN = Path(__file__).parent / "golden" / "envelope_v1.json"
SCHEMA: dict[str, Any] = json.loads((Path(jobkit.__file__).parent / "envelope.schema.json").read_text())

T0 = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def envelope(**changes: Any) -> Envelope:
    base = Envelope(v=WIRE_VERSION, id="job-1", type="send", queue="default", args=msgspec.Raw(b'{"a":1}'), enqueued_at=T0)
    return base.replace(**changes)


FULL = envelope(
    id="01900000-0000-7000-8000-000000000001",
    type="email.send_welcome",
    queue="email",
    args=msgspec.Raw(b'{"user_id":42,"template":"default"}'),
    type_version=3,
    headers={"traceparent": "00-abc-def-01", "tenant": "ä"},
    priority="high",
    due=T0 + timedelta(minutes=10),
    expires_at=T0 + timedelta(hours=1),
    spent=2,
    failures=(
        Failure(
            at=T0, attempt=1, error="builtins.ValueError", message="no", traceback="Traceback ...\n", worker="host-1-ab"
        ),
        Failure(at=T0 + timedelta(seconds=1), attempt=2, error="shop.errors.CardRefused"),
    ),
    key="welcome:42",
    successors=(
        Step(
            id="01900000-0000-7000-8000-000000000002",
            type="invoice",
            queue="money",
            args=msgspec.Raw(b"{}"),
            type_version=2,
            priority="low",
            headers={"a": "b"},
            result_as="payment",
            delay=1.5,
            expires=60.0,
            tracked=True,
        ),
    ),
    parent="01900000-0000-7000-8000-000000000000",
    root="01900000-0000-7000-8000-000000000000",
    tracked=True,
    generation=4,
    unknown_since=T0,
    key_id="k1",
    signature="c2ln",
)


def plain(one: Envelope) -> Any:
    """Comparable: raw arguments have no equality of their own."""
    return json.loads(codec.encode(one))


def test_the_wire_form_is_that_of_the_golden_file() -> None:
    """Whoever changes this file changes what other languages and running workers read: that needs a new wire version."""
    minimal, full = json.loads(GOLDEN.read_text())
    assert plain(envelope()) == minimal
    assert plain(FULL) == full


def test_the_golden_file_decodes_to_the_same_jobs() -> None:
    for written, expected in zip(json.loads(GOLDEN.read_text()), (envelope(), FULL), strict=True):
        assert plain(codec.decode(json.dumps(written).encode())) == plain(expected)
        assert codec.decode(json.dumps(written).encode()).replace(args=b"", successors=()) == expected.replace(
            args=b"", successors=()
        )


@pytest.mark.checkout
def test_the_published_schema_is_that_of_the_structs() -> None:
    from scripts import envelope_schema

    assert envelope_schema.PATH.read_text() == envelope_schema.text(), "run: python -m scripts.envelope_schema"


def test_the_schema_describes_every_field_and_asks_for_five() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        assert definition["description"]
        assert all(field["description"] for field in definition["properties"].values())
    assert SCHEMA["required"] == ["v", "id", "type", "queue", "args", "enqueued_at"]
    assert {"type_version", "key_id", "signature"} <= set(SCHEMA["properties"])


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def test_samples_and_further_fields_are_valid() -> None:
    for sample in (plain(envelope()), plain(FULL), {**plain(FULL), "from_the_future": {"x": [1]}}):
        VALIDATOR.validate(sample)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("id", ""),
        ("id", "a b"),
        ("id", "x" * 129),
        ("type", ""),
        ("queue", "a--b"),
        ("queue", "a.b"),
        ("args", []),
        ("args", "x"),
        ("args", None),
        ("spent", -1),
        ("generation", -1),
        ("priority", "urgent"),
        ("headers", {"a": 1}),
        ("failures", [{}]),
        ("successors", [{"id": "a", "type": "t", "queue": "a--b", "args": {}}]),
        ("successors", [{"id": "a", "type": "t", "queue": "q", "args": {}, "delay": -1}]),
    ],
)
def test_what_the_schema_refuses_the_decoder_refuses(field: str, value: Any) -> None:
    sample = {**plain(envelope()), field: value}
    assert not VALIDATOR.is_valid(sample)
    with pytest.raises(codec.Undecodable):
        codec.decode(json.dumps(sample).encode())


PRIORITIES: st.SearchStrategy[Priority] = st.sampled_from(["low", "normal", "high"])
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ENVELOPES = st.builds(
    envelope,
    id=st.from_regex(r"[A-Za-z0-9_:-]{1,128}", fullmatch=True),
    type=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    headers=st.dictionaries(TEXT, TEXT, max_size=3),
    priority=PRIORITIES,
    enqueued_at=INSTANTS,
    due=st.none() | INSTANTS,
    expires_at=st.none() | INSTANTS,
    spent=st.integers(0, 2**31 - 1),
    generation=st.integers(0, 2**31 - 1),
    tracked=st.booleans(),
    failures=st.lists(
        st.builds(Failure, at=INSTANTS, attempt=st.integers(1, 99), error=TEXT, message=TEXT, traceback=TEXT), max_size=3
    ).map(tuple),
)


@given(ENVELOPES)
def test_every_job_survives_the_wire_and_is_valid(one: Envelope) -> None:
    body = codec.encode(one)
    decoded = codec.decode(body)
    assert codec.encode(decoded) == body
    assert decoded.replace(args=b"") == one.replace(args=b"")
    VALIDATOR.validate(json.loads(body))


def test_a_new_generation_is_a_new_message_to_the_broker() -> None:
    assert envelope(id="a").message_id == "a"
    assert envelope(id="a", generation=1).message_id == "a.1"
    message = envelope(priority="low").message(b"body", 3)
    assert (message.id, message.queue, message.body, message.delay) == ("job-1", "default--low", b"body", 3)


def test_nothing_follows_the_end_of_a_chain() -> None:
    assert successor(envelope(), b"1", T0) is None


def test_the_job_that_follows_takes_the_result_and_knows_where_it_comes_from() -> None:
    one = FULL.replace(successors=(*FULL.successors, Step(id="last", type="t", queue="q", args=msgspec.Raw(b"{}"))))
    found = successor(one, b'{"total":3}', T0)
    assert found is not None
    following, delay = found
    assert delay == 1.5
    assert json.loads(bytes(following.args)) == {"payment": {"total": 3}}
    assert (following.id, following.type, following.queue) == (FULL.successors[0].id, "invoice", "money")
    assert (following.parent, following.root) == (FULL.id, FULL.root)
    assert following.expires_at == T0 + timedelta(seconds=60)
    assert (following.spent, following.failures, following.generation, following.tracked) == (0, (), 0, True)
    assert [step.id for step in following.successors] == ["last"]


def test_a_job_that_takes_no_result_keeps_its_own_arguments() -> None:
    step = Step(id="s", type="t", queue="q", args=msgspec.Raw(b'{"x":1}'))
    found = successor(envelope(successors=(step,)), b"3", T0)
    assert found is not None
    assert bytes(found[0].args) == b'{"x":1}'
    assert found[0].root == "job-1"
    assert found[0].expires_at is None


def test_a_missing_result_is_passed_on_as_null() -> None:
    step = Step(id="s", type="t", queue="q", args=msgspec.Raw(b"{}"), result_as="x")
    found = successor(envelope(successors=(step,)), None, T0)
    assert found is not None
    assert bytes(found[0].args) == b'{"x":null}'
