"""Retry policies."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit import ConfigurationError, FailedAttempt, JobTimeout, RetryPolicy
from jobkit.durations import LONGEST
from jobkit.outcome import class_names

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Refused(ValueError):
    pass


class Other(Exception):
    pass


def failed(attempt: int, error: type[BaseException] = ValueError, seed: str = "a") -> FailedAttempt:
    return FailedAttempt(
        attempt=attempt,
        kinds=class_names(error),
        message="",
        enqueued_at=NOW,
        now=NOW,
        random=random.Random(f"{seed}:{attempt}"),
    )


ATTEMPTS = st.integers(1, 200)
DELAYS = st.lists(st.floats(0, 1e6), min_size=1, max_size=8)
JITTER = st.floats(0, 1)


@given(DELAYS, JITTER, ATTEMPTS)
def test_a_delay_is_the_one_named_and_at_most_its_jitter_more(delays: list[float], jitter: float, attempt: int) -> None:
    policy = RetryPolicy(max_attempts=1000, delays=delays, jitter=jitter)
    base = delays[min(attempt, len(delays)) - 1]
    delay = policy.next_delay(failed(attempt))
    assert delay is not None
    assert base <= delay <= base * (1 + jitter) * (1 + 1e-12)


@given(DELAYS, st.integers(0, 50))
def test_the_last_delay_repeats(delays: list[float], further: int) -> None:
    policy = RetryPolicy(max_attempts=1000, delays=delays, jitter=0)
    assert policy.next_delay(failed(len(delays) + further)) == delays[-1]


@given(
    first=st.floats(0, 1e5), factor=st.floats(1, 100), maximum=st.floats(0, LONGEST), attempt=st.integers(1, 2000)
)  # fmt: skip
def test_exponential_delays_never_shrink_and_never_exceed_their_maximum(
    first: float, factor: float, maximum: float, attempt: int
) -> None:
    policy = RetryPolicy(max_attempts=10_000, first=first, factor=factor, maximum=maximum, jitter=0)
    delay, following = policy.next_delay(failed(attempt)), policy.next_delay(failed(attempt + 1))
    assert delay is not None
    assert following is not None
    assert min(first, maximum) <= delay <= following <= maximum


def test_exponential_delays_grow_by_their_factor() -> None:
    policy = RetryPolicy(first=2, factor=3, maximum="1h", jitter=0)
    assert [policy.next_delay(failed(attempt)) for attempt in range(1, 9)] == [2, 6, 18, 54, 162, 486, 1458, 3600]


@given(st.integers(1, 50), ATTEMPTS)
def test_the_last_attempt_is_followed_by_none(most: int, attempt: int) -> None:
    assert (RetryPolicy(max_attempts=most).next_delay(failed(attempt)) is None) == (attempt >= most)


@given(st.text(max_size=5), ATTEMPTS)
def test_the_same_failure_gets_the_same_delay_wherever_it_is_decided(seed: str, attempt: int) -> None:
    policy = RetryPolicy(max_attempts=1000, jitter=1)
    assert policy.next_delay(failed(attempt, seed=seed)) == policy.next_delay(failed(attempt, seed=seed))


def test_what_failed_together_does_not_come_back_together() -> None:
    policy = RetryPolicy(delays=["10m"], jitter=0.5)
    assert len({policy.next_delay(failed(1, seed=str(number))) for number in range(100)}) > 90


@pytest.mark.parametrize(
    ("error", "given_up"), [(ValueError, True), (Refused, True), (Other, False), (KeyError, False), (Exception, False)]
)
def test_an_exception_or_one_of_its_kind_gives_up_at_once(error: type[BaseException], given_up: bool) -> None:
    assert (RetryPolicy(give_up_on=(ValueError,)).next_delay(failed(1, error)) is None) == given_up


def test_one_class_may_stand_alone() -> None:
    assert RetryPolicy(give_up_on=Refused).give_up_on == (Refused,)
    assert RetryPolicy(give_up_on=[Refused]).give_up_on == (Refused,)


def test_classes_are_known_by_name_since_they_may_have_been_raised_in_another_process() -> None:
    """Another class of the same name in the same module is the same; one from elsewhere is not."""
    twin = type("Refused", (Exception,), {"__module__": __name__})
    stranger = type("Refused", (Exception,), {"__module__": "elsewhere"})
    assert failed(1, Refused).matches(twin)
    assert not failed(1, Refused).matches(stranger)
    assert failed(1, JobTimeout).matches(TimeoutError)
    assert failed(1, Refused).matches(BaseException)


def test_a_rule_is_asked_instead_and_the_first_that_matches_counts() -> None:
    policy = RetryPolicy(
        delays=[1],
        jitter=0,
        give_up_on=(Other, Refused),
        rules={Refused: RetryPolicy(delays=[2], jitter=0), ValueError: RetryPolicy(delays=[3], max_attempts=2, jitter=0)},
    )
    assert policy.next_delay(failed(1, KeyError)) == 1
    assert policy.next_delay(failed(1, Refused)) == 2
    assert policy.next_delay(failed(1, ValueError)) == 3
    assert policy.next_delay(failed(2, ValueError)) is None
    assert policy.next_delay(failed(1, Other)) is None


def test_any_object_with_the_method_may_be_a_rule() -> None:
    class Hourly:
        def next_delay(self, failed: FailedAttempt) -> float | None:
            return 3600.0

    assert RetryPolicy(rules={ValueError: Hourly()}).next_delay(failed(99)) == 3600


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_attempts": 0}, "max_attempts 0"),
        ({"delays": []}, "delays is empty"),
        ({"delays": [-1]}, "delays -1"),
        ({"delays": ["10 minutes"]}, "delays '10 minutes'"),
        ({"delays": [float("nan")]}, "delays nan"),
        ({"first": -1}, "first -1"),
        ({"first": float("inf")}, "first inf"),
        ({"maximum": "soon"}, "maximum 'soon'"),
        ({"jitter": -0.1}, "jitter -0.1"),
        ({"jitter": 1.1}, "jitter 1.1"),
        ({"jitter": float("nan")}, "jitter nan"),
        ({"factor": 0.5}, "factor 0.5"),
        ({"factor": -1}, "factor -1"),
        ({"factor": float("nan")}, "factor nan"),
        ({"give_up_on": ("ValueError",)}, "'ValueError'"),
        ({"give_up_on": int}, "int"),
        ({"rules": {"ValueError": RetryPolicy()}}, "'ValueError'"),
        ({"rules": {ValueError: RetryPolicy}}, "retry"),
        ({"rules": {ValueError: 3}}, "retry 3"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RetryPolicy(**options)


def test_delays_may_be_written_as_people_write_them() -> None:
    assert RetryPolicy(delays=[1, "10m", timedelta(hours=1)]).delays == (1, 600, 3600)
