"""Handlers: registration, names, options, `using`, `new` and chains. Nothing here touches a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from jobkit import ConfigurationError, Handlers, InvalidArguments, JobKit, New, RetryPolicy
from jobkit.retry import DEFAULT_POLICY


def first(value: int) -> int:
    """What it says of itself."""
    return value + 1


def second(value: int) -> str:
    return str(value)


async def third(value: str = "x") -> None:
    await asyncio.sleep(0)


def nothing() -> None: ...
def two(left: int, right: int) -> int:
    return left + right


def optional(left: int, right: int = 1) -> int:
    return left + right


@pytest.fixture
def jobs() -> JobKit:
    return JobKit("memory://")


def chained(*handlers: Callable[..., Any]) -> list[Any]:
    app = JobKit("memory://")
    return [app.handler(handler) for handler in handlers]


def test_a_handler_is_still_the_plain_function(jobs: JobKit) -> None:
    handler = jobs.handler(first)
    assert handler(1) == 2
    assert handler.function is first
    assert (handler.__name__, handler.__doc__, handler.__module__) == ("first", "What it says of itself.", __name__)
    assert repr(handler) == "<handler first>"
    assert asyncio.run(jobs.handler(third)("y")) is None


def test_bare_and_with_options_register_alike(jobs: JobKit) -> None:
    bare, given = jobs.handler(first), jobs.handler(queue="mail", priority="low", timeout="1m", track=True)(second)
    assert bare.options.queue == "default"
    assert (given.options.queue, given.options.priority, given.options.timeout) == ("mail", "low", 60)
    assert jobs.handlers() == [bare, given]
    assert jobs.find("second") is given


def test_a_type_name_is_the_prefix_and_the_functions_name_unless_it_is_given() -> None:
    email = Handlers(prefix="email.")
    assert email.handler(first).name == "email.first"
    assert email.handler(name="welcome")(second).name == "welcome"
    assert JobKit(prefix="shop.").handler(first).name == "shop.first"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "\x00"])
def test_a_name_that_could_not_travel_is_refused(jobs: JobKit, name: str) -> None:
    with pytest.raises(ConfigurationError, match="handler name"):
        jobs.handler(name=name)(first)
    with pytest.raises(ConfigurationError, match="handler name"):
        jobs.handler(aliases=[name])(first)


def test_handlers_are_collected_without_an_app_and_joined_later(jobs: JobKit) -> None:
    email = Handlers(prefix="email.")
    handler = email.handler(first)
    with pytest.raises(ConfigurationError, match=r"no app has it; call JobKit\.include"):
        handler.enqueue(1)
    jobs.include(email)
    assert handler.app is jobs
    assert jobs.find("email.first") is handler
    jobs.include(email)
    assert jobs.handlers() == [handler]


def test_two_handlers_of_one_name_are_refused_with_both_places(jobs: JobKit) -> None:
    jobs.handler(first)
    with pytest.raises(ConfigurationError, match=rf"'first': {__name__}.first and {__name__}.second"):
        jobs.handler(name="first")(second)
    other = Handlers()
    other.handler(name="first")(third)
    with pytest.raises(ConfigurationError, match="two handlers are called 'first'"):
        jobs.include(other)


def test_an_alias_leads_to_the_handler_and_counts_as_a_name(jobs: JobKit) -> None:
    handler = jobs.handler(aliases=["old", "older"])(first)
    assert jobs.find("old") is jobs.find("older") is jobs.find("first") is handler
    assert jobs.handlers() == [handler]
    with pytest.raises(ConfigurationError, match="two handlers are called 'old'"):
        jobs.handler(name="old")(second)


def test_a_handler_belongs_to_one_app(jobs: JobKit) -> None:
    shared = Handlers()
    shared.handler(first)
    jobs.include(shared)
    with pytest.raises(ConfigurationError, match="belongs to another app already"):
        JobKit("memory://").include(shared)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"quue": "a"}, "unknown option 'quue'; did you mean 'queue'"),
        ({"colour": "a"}, "known are aliases, expires"),
        ({"queue": "a b"}, "queue 'a b'"),
        ({"priority": "urgent"}, "priority 'urgent'"),
        ({"timeout": "long"}, "timeout 'long'"),
        ({"timeout": -1}, "timeout -1"),
        ({"expires": "later"}, "expires 'later'"),
        ({"result_ttl": None}, "result_ttl None"),
        ({"retry": RetryPolicy}, "retry"),
        ({"retry": None}, "retry None"),
        ({"retry": 3}, "retry 3"),
        ({"aliases": "old"}, "aliases 'old': give a list"),
    ],
)
def test_a_wrong_option_is_refused_by_name(jobs: JobKit, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        jobs.handler(**options)(first)
    assert jobs.handlers() == []


def test_any_object_with_next_delay_is_a_policy(jobs: JobKit) -> None:
    class Never:
        def next_delay(self, failed: Any) -> None:
            return None

    assert isinstance(jobs.handler(retry=Never())(first).options.retry, Never)
    assert jobs.handler(second).options.retry is DEFAULT_POLICY


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dealy": 1}, "unknown option 'dealy'; did you mean 'delay'"),
        ({"delay": "soon"}, "delay 'soon'"),
        ({"delay": -1}, "delay -1"),
        ({"delay": 10**400}, "delay 1000"),
        ({"at": datetime(2026, 1, 1)}, "naive datetime"),  # noqa: DTZ001 - naive on purpose
        ({"at": "2026-01-01"}, "allowed is an aware datetime"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 1}, "not both"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 0}, "not both"),
        ({"expires": "x"}, "expires 'x'"),
        ({"priority": "urgent"}, "priority 'urgent'"),
        ({"queue": ""}, "queue ''"),
        ({"headers": {"a": 1}}, "header 'a'"),
        ({"headers": {1: "a"}}, "header 1"),
    ],
)
def test_using_refuses_what_makes_no_sense_by_name(jobs: JobKit, options: dict[str, Any], named: str) -> None:
    handler = jobs.handler(first)
    with pytest.raises(ConfigurationError, match=named):
        handler.using(**options)


def test_using_leaves_the_handler_as_it_was(jobs: JobKit) -> None:
    handler = jobs.handler(first)
    headers = {"a": "b"}
    made = handler.using(delay=timedelta(minutes=1), queue="mail", headers=headers).new(1)
    headers["a"] = "changed"
    assert (made.using.delay, made.using.queue, made.using.headers) == (60, "mail", {"a": "b"})
    plain = handler.new(1)
    assert (plain.using.delay, plain.using.queue, plain.using.headers) == (None, None, {})
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    assert handler.using(at=at).new(1).using.at == at


def test_a_wrong_argument_fails_where_the_job_is_made(jobs: JobKit) -> None:
    handler = jobs.handler(first)
    calls: list[Callable[..., Any]] = [handler.new, handler.enqueue, handler.using(delay=1).enqueue]
    for call in calls:
        with pytest.raises(InvalidArguments, match=r"first\(\): argument 'value': Expected `int`, got `str`"):
            call("x")
    with pytest.raises(InvalidArguments):
        asyncio.run(handler.aenqueue("x"))  # type: ignore[arg-type]


def test_options_never_collide_with_arguments(jobs: JobKit) -> None:
    handler = jobs.handler(collide)
    made = handler.using(delay=5).new(delay=1, queue="q", self="s", name="n")
    assert made.using.delay == 5
    assert handler.arguments.decode(made.args) == {"delay": 1, "queue": "q", "self": "s", "name": "n"}


def collide(delay: int, queue: str, self: str, name: str) -> None: ...


def test_every_job_has_an_id_of_its_own_in_the_order_of_making(jobs: JobKit) -> None:
    handler = jobs.handler(first)
    made = [handler.new(number).id for number in range(100)]
    assert made == sorted(set(made))


def test_a_chain_is_its_last_job_and_knows_those_before() -> None:
    one, two_, three = chained(first, second, third)
    start = one.new(1)
    receipt = three.new("y")
    whole = start.then(two_).then(receipt)
    links = whole.chain()
    assert [link.handler.name for link in links] == ["first", "second", "third"]
    assert [link.id for link in links] == [start.id, links[1].id, receipt.id]
    assert [link.result_as for link in links] == [None, "value", None]


def test_a_bare_handler_takes_the_result_and_must_need_nothing_else() -> None:
    one, none, both, other = chained(first, nothing, two, optional)
    with pytest.raises(ConfigurationError, match="takes no argument"):
        one.new(1).then(none)
    with pytest.raises(InvalidArguments, match="missing a required argument: 'right'"):
        one.new(1).then(both)
    assert one.new(1).then(other).result_as == "left"


@pytest.mark.parametrize("step", [None, "second", 3, first])
def test_a_chain_goes_on_with_a_handler_or_a_job(step: Any) -> None:
    [one] = chained(first)
    with pytest.raises(ConfigurationError, match="allowed are a handler, or a job"):
        one.new(1).then(step)


def test_a_bound_handler_is_no_step() -> None:
    one, two_ = chained(first, second)
    with pytest.raises(ConfigurationError, match="allowed are a handler, or a job"):
        one.new(1).then(two_.using(delay=1))


def test_a_chain_is_no_step_of_another_chain() -> None:
    one, two_, three = chained(first, second, third)
    with pytest.raises(ConfigurationError, match="itself a chain"):
        one.new(1).then(two_.new(1).then(three))


def test_a_job_is_one_job_in_one_chain() -> None:
    """Two chains that share a job would share its id, and the broker would take the second for a repeat of the first."""
    one, two_, three = chained(first, second, third)
    start: New[Any] = one.new(1)
    start.then(two_)
    with pytest.raises(ConfigurationError, match="followed by another job already"):
        start.then(three)
    step = two_.new(1)
    one.new(1).then(step)
    with pytest.raises(ConfigurationError, match="part of a chain already"):
        one.new(2).then(step)
    with pytest.raises(ConfigurationError, match="followed by another job already"):
        step.then(three)
    alone = one.new(1)
    with pytest.raises(ConfigurationError):
        alone.then(alone)
    with pytest.raises(ConfigurationError):
        alone.then(None)
    assert len(alone.then(two_).chain()) == 2


def test_a_step_takes_no_instant_and_no_connection() -> None:
    one, two_ = chained(first, second)
    for using in ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, {"connection": object()}):
        with pytest.raises(ConfigurationError, match="takes neither connection= nor at="):
            one.new(1).then(two_.using(**using).new(1))


def test_collections_that_include_each_other_are_refused() -> None:
    jobs, one, two = JobKit("memory://"), Handlers(), Handlers()
    jobs.include(one)
    one.include(two)
    for outer, inner in ((two, jobs), (two, one), (two, two), (jobs, jobs)):
        with pytest.raises(ConfigurationError, match="include this collection themselves"):
            outer.include(inner)


@pytest.mark.parametrize("queue", [3, b"default", ["default"]])
def test_a_queue_that_is_no_text_is_refused_by_name(queue: object) -> None:
    with pytest.raises(ConfigurationError, match="allowed are 1 to 64 letters"):
        JobKit("memory://").handler(queue=queue)(nothing)  # type: ignore[call-overload]


@pytest.mark.parametrize("headers", ["text", [("a", "b")], {"a": "\ud800"}])
def test_headers_that_cannot_be_carried_are_refused(headers: Any) -> None:
    handler = JobKit("memory://").handler(nothing)
    with pytest.raises(ConfigurationError, match="header"):
        handler.using(headers=headers)
