"""Arguments: checked where they are enqueued, the same types where they arrive, and a refusal that names what is wrong."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from jobkit import ConfigurationError, InvalidArguments, InvalidResult, JobKit
from jobkit.arguments import Arguments, check_function


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    A = "a"


@attrs.define
class Item:
    sku: str
    price: Decimal
    count: int = 1


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    items: list[Item]
    placed: datetime
    note: str | None = None


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Pair(NamedTuple):
    left: int
    right: str


class Extra(TypedDict):
    name: str
    size: int


class Plain:
    pass


ITEM = Item("a", Decimal("1.10"), 2)
ORDER = Order(uuid.UUID(int=5), [ITEM], datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))))


def of(function: Callable[..., Any]) -> Arguments:
    return Arguments(function, f"{function.__name__}()")


def trip(kind: Any, value: Any) -> Any:
    """*value* as the handler with a parameter of that *kind* gets it."""

    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = kind
    arguments = of(handler)
    return arguments.decode(arguments.encode((value,), {}))["value"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, -(2**63)),
        (int, 2**64),
        (int, 10**200),
        (float, 1.5),
        (float, 1),
        (bool, True),
        (str, "ä\U0001f600\x00\n"),
        (None, None),
        (bytes, bytes(range(256))),
        (bytearray, bytearray(b"x")),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (datetime, ORDER.placed),
        (date, date(2026, 1, 2)),
        (time, time(1, 2, 3)),
        (timedelta, timedelta(days=2, microseconds=3)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("0.10")),
        (Decimal, Decimal("1E+400")),
        (Colour, Colour.BLUE),
        (Level, Level.HIGH),
        (Word, Word.A),
        (Literal["a", "b"], "b"),
        (Item, ITEM),
        (Order, ORDER),
        (Point, Point(1.0)),
        (Pair, Pair(1, "a")),
        (Extra, {"name": "n", "size": 1}),
        (int | None, None),
        (int | str, "x"),
        (list[list[int]], [[1], [], [2, 3]]),
        (dict[str, list[Item]], {"a": [ITEM], "": []}),
        (dict[int, str], {1: "a"}),
        (dict[uuid.UUID, datetime], {uuid.UUID(int=1): ORDER.placed}),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2)),
        (set[int], {1, 2}),
        (frozenset[Colour], frozenset({Colour.RED})),
        (Any, {"a": [1, None, 1.5, "x"]}),
        (dict[str, Any], {"a": None}),
        (float | None, None),
        (Annotated[int, Meta(ge=1)], 1),
    ],
)
def test_a_value_arrives_as_it_was_sent(kind: Any, value: Any) -> None:
    arrived = trip(kind, value)
    assert arrived == value
    if kind not in (Any, float):
        assert type(arrived) is type(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_whatever_json_can_say_arrives(value: Any) -> None:
    assert trip(Any, value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1"),
        (int, 1.5),
        (int, True),
        (int, None),
        (str, 1),
        (bool, 1),
        (datetime, "yesterday"),
        (datetime, date(2026, 1, 2)),
        (uuid.UUID, "no"),
        (Colour, "green"),
        (Level, 3),
        (Literal["a"], "b"),
        (list[int], [1, "x"]),
        (dict[str, int], {"a": "b"}),
        (tuple[int, str], (1,)),
        (Item, Order),
        (Item, {"sku": "a"}),
        (Annotated[int, Meta(ge=1)], 0),
        (Annotated[str, Meta(max_length=3)], "long"),
        (Annotated[datetime, Meta(tz=True)], datetime(2026, 1, 1)),  # noqa: DTZ001 - naive on purpose
        (Plain, {}),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(kind: Any, value: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"handler\(\): argument 'value"):
        trip(kind, value)


@pytest.mark.parametrize(
    "value",
    [
        Plain(),
        Plain,
        object(),
        lambda: None,
        open,
        "lone \ud800 surrogate",
        {"a": {"b": [Plain()]}},
        {(1, 2): "x"},
        complex(1),
        iter([1]),
    ],
)
def test_a_value_that_no_job_can_carry_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"handler\(\): argument 'value': .+"):
        trip(Any, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        (float, lambda value: value),
        (float | None, lambda value: value),
        (Any, lambda value: {"a": [1, (value,)]}),
        (Point | None, Point),
        (list[float | None], lambda value: [None, value]),
    ],
)
def test_nan_and_infinity_are_refused_and_never_become_null(kind: Any, wrap: Callable[[float], Any], value: float) -> None:
    with pytest.raises(InvalidArguments, match="argument 'value': NaN and infinity cannot be carried"):
        trip(kind, wrap(value))


def test_values_nested_too_deeply_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidArguments, match="argument 'value'"):
        trip(Any, deep)
    moderate: list[Any] = []
    for _ in range(100):
        moderate = [moderate]
    assert trip(Any, moderate) == moderate


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidArguments, match="argument 'value'"):
        trip(Any, loop)


def pay(order: int, amount: Decimal, *, currency: str = "EUR", tags: list[str] = []) -> str:  # noqa: B006 - on purpose
    return f"{order}{amount}{currency}{tags}"


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "missing a required argument: 'order'"),
        ((1,), {}, "missing a required argument: 'amount'"),
        ((1, Decimal(1)), {"curency": "USD"}, "unexpected keyword argument 'curency'"),
        ((1, Decimal(1), "USD"), {}, "too many positional arguments"),
        ((1,), {"order": 2, "amount": Decimal(1)}, "multiple values for argument 'order'"),
        (("1", Decimal(1)), {}, "argument 'order': Expected `int`, got `str`"),
        ((1, Decimal(1)), {"tags": ["a", 1]}, r"argument 'tags\[1\]': Expected `str`, got `int`"),
        ((1, Decimal(1)), {"currency": None}, "argument 'currency'"),
    ],
)
def test_missing_unknown_and_wrong_arguments_are_named_with_the_handler(
    args: tuple[Any, ...], kwargs: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidArguments, match=rf"pay\(\): .*{named}") as caught:
        of(pay).encode(args, kwargs)
    assert isinstance(caught.value, TypeError)


def test_arguments_travel_by_name_and_without_those_left_to_their_defaults() -> None:
    arguments = of(pay)
    encoded = arguments.encode((1, Decimal("2.50")), {})
    assert msgspec.json.decode(bytes(encoded)) == {"order": 1, "amount": "2.50"}
    assert arguments.decode(encoded) == {"order": 1, "amount": Decimal("2.50")}
    whole = {"order": 1, "amount": Decimal("2.50"), "currency": "EUR", "tags": []}
    assert arguments.decode_with_defaults(encoded) == whole


def test_a_mutable_default_is_the_functions_own_and_each_job_gets_what_it_was_sent() -> None:
    arguments = of(pay)
    encoded = arguments.encode((1, Decimal(1)), {"tags": ["a"]})
    first, second = arguments.decode(encoded), arguments.decode(encoded)
    first["tags"].append("b")
    assert second["tags"] == ["a"]
    assert pay.__kwdefaults__ == {"currency": "EUR", "tags": []}


def test_a_default_that_has_changed_since_applies_to_jobs_enqueued_before() -> None:
    encoded = of(pay).encode((1, Decimal(1)), {})

    def later(order: int, amount: Decimal, *, currency: str = "USD", tags: list[str] | None = None) -> None: ...

    assert of(later).decode_with_defaults(encoded)["currency"] == "USD"


@pytest.mark.parametrize(
    "default", [ITEM, None, Colour.RED, Point(1.0), datetime(2026, 1, 1, tzinfo=UTC), (), frozenset({1}), Decimal(1)]
)
def test_a_parameter_may_have_any_default_of_its_type(default: Any) -> None:
    def handler(value: Any = default) -> None: ...

    handler.__annotations__["value"] = type(default)
    arguments = of(handler)
    assert arguments.decode_with_defaults(arguments.encode((), {})) == {"value": default}
    assert arguments.decode(arguments.encode((default,), {})) == {"value": default}


def test_an_argument_that_the_handler_no_longer_takes_is_named() -> None:
    with pytest.raises(InvalidArguments, match=r"pay\(\): .*unknown field `colour`"):
        of(pay).decode(msgspec.Raw(b'{"order":1,"amount":"1","colour":"red"}'))


@pytest.mark.parametrize("junk", [b'{"order":"\xff"}', b"{", b"[]", b"null", b'{"order":' + b"[" * 5000])
def test_arguments_that_are_no_arguments_are_refused(junk: bytes) -> None:
    with pytest.raises(InvalidArguments, match=r"pay\(\)"):
        of(pay).decode(msgspec.Raw(junk))


def late(value: Later) -> Later:
    return value


def lost(value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    ...


def test_annotations_may_name_what_is_defined_later_and_are_resolved_at_first_use() -> None:
    arguments = of(late)
    assert arguments.decode(arguments.encode((Later(1),), {})) == {"value": Later(1)}


def test_an_annotation_that_leads_nowhere_is_an_error_at_first_use() -> None:
    arguments = of(lost)
    with pytest.raises(ConfigurationError, match=r"lost\(\): its annotations cannot be resolved.*Nowhere"):
        arguments.encode((1,), {})


@attrs.define
class Later:
    x: int


def test_a_handler_without_parameters_takes_none() -> None:
    def nothing() -> None: ...

    arguments = of(nothing)
    assert arguments.decode(arguments.encode((), {})) == {}
    assert arguments.first is None
    with pytest.raises(InvalidArguments, match="too many positional"):
        arguments.encode((1,), {})


def test_one_parameter_may_be_left_for_the_job_before() -> None:
    arguments = of(pay)
    assert arguments.first == "order"
    encoded = arguments.encode((Decimal(1),), {}, leave_out="order")
    assert msgspec.json.decode(bytes(encoded)) == {"amount": "1"}
    with pytest.raises(InvalidArguments, match="missing a required argument: 'amount'"):
        arguments.encode((), {}, leave_out="order")


def test_results_come_back_in_their_annotated_type() -> None:
    def handler() -> Order:
        return ORDER

    arguments = of(handler)
    assert arguments.decode_result(arguments.encode_result(ORDER)) == ORDER


def test_a_result_of_another_type_is_an_error_that_names_the_handler() -> None:
    def handler() -> int:
        return 1

    with pytest.raises(InvalidResult, match=r"handler\(\): its result is not what it is annotated to return"):
        of(handler).decode_result(b'"x"')
    with pytest.raises(TypeError, match="Plain"):
        of(handler).encode_result(Plain())


def test_arguments_have_a_json_schema() -> None:
    schema = of(pay).json_schema()
    assert "amount" in str(schema)


def test_a_type_that_cannot_be_told_apart_is_refused_when_it_is_first_needed() -> None:
    def handler(value: uuid.UUID | str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"handler\(\)"):
        of(handler).encode(("x",), {})


jobs = JobKit()


class Service:
    def method(self, value: int) -> None: ...

    @classmethod
    def of_class(cls, value: int) -> None: ...

    @staticmethod
    def static(value: int) -> None: ...

    def __call__(self, value: int) -> None: ...


def many(*values: int) -> None: ...
def named(**values: int) -> None: ...
def positional(value: int, /) -> None: ...
def bare(value) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda: None, "lambda"),
        (Service.method, "Service.method"),
        (Service().method, "Service.method"),
        (Service.of_class, "Service.of_class"),
        (Service.static, "Service.static"),
        (Service(), "Service"),
        (Service, "Service"),
        (many, r"many: \*values"),
        (named, r"named: \*\*values"),
        (positional, "positional: value is positional-only"),
        (bare, "bare: the parameter 'value' has no annotation"),
        (generator, "generator: a generator"),
        (async_generator, "async_generator: a generator"),
        (functools.partial(pay, 1), "partial"),
        (print, "print"),
        ("pay", "'pay'"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_by_name(function: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        check_function(function)
    with pytest.raises(ConfigurationError, match=named):
        jobs.handler(function)
    assert jobs.handlers() == []


def test_a_nested_function_is_refused_by_name() -> None:
    def inner() -> None: ...

    with pytest.raises(ConfigurationError, match="inner: a nested function cannot be found by a worker"):
        jobs.handler(inner)


def test_a_plain_function_is_accepted_def_and_async_def() -> None:
    check_function(pay)
    check_function(late)
