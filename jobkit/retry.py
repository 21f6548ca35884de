"""When a failed job is tried again: one method, `Policy.next_delay`, and the built-in `RetryPolicy`."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError
from jobkit.outcome import class_names


@attrs.frozen(kw_only=True)
class FailedAttempt:
    """
    What a policy gets to see.

    Attributes:
        attempt: From 1: the attempt that failed.
        kinds: The names of the exception's class and of all its bases; ask with `matches`.
        enqueued_at: When the job was first enqueued; aware, UTC.
        now: The present; aware, UTC.
        random: Seeded by job and attempt, so that the same failure gives the same delay on every backend.
    """

    attempt: int
    kinds: tuple[str, ...]
    message: str
    enqueued_at: datetime
    now: datetime
    random: random.Random = attrs.field(repr=False)

    def matches(self, kind: type[BaseException]) -> bool:
        """Whether the exception was a *kind*. By name, since it may have been raised in another process."""
        return class_names(kind)[0] in self.kinds


class Policy(Protocol):
    """Any object with this method can be a handler's ``retry``."""

    def next_delay(self, failed: FailedAttempt) -> float | None:
        """Seconds until the next attempt; None to give up, which makes the job a dead letter."""


def check_policy(policy: Policy) -> Policy:
    """*policy*, if it is one; a class in an instance's place is none."""
    if isinstance(policy, type) or not callable(getattr(policy, "next_delay", None)):
        raise ConfigurationError(f"retry {policy!r}: allowed is a RetryPolicy(...), or an object with next_delay()")
    return policy


def _durations(values: Sequence[Duration] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(seconds(value, "delays") for value in values)


def _classes(values: type[BaseException] | Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    """One class may be given as it is."""
    found: tuple[Any, ...] = (values,) if isinstance(values, type) else tuple(values)
    for kind in found:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigurationError(f"{kind!r}: give_up_on and rules take classes of exceptions")
    return found


def _first(value: Duration) -> float:
    return seconds(value, "first")


def _maximum(value: Duration) -> float:
    return seconds(value, "maximum")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """
    Try up to *max_attempts* times.

    Attributes:
        max_attempts: From 1; 1 means no retry.
        delays: The delays after the first, second, ... failure; the last one repeats. Without it they grow
            exponentially: *first*, then *factor* times as long each time, *maximum* at most.
        jitter: Each delay grows by a random part of it, up to this share, so that what failed together does not come
            back together.
        give_up_on: Exceptions after which another attempt cannot help.
        rules: A policy of its own for an exception's class; the first that matches is asked, the attempts count together.
    """

    max_attempts: int = 10
    delays: tuple[float, ...] | None = attrs.field(default=None, converter=_durations)
    first: float = attrs.field(default=1.0, converter=_first)
    factor: float = 3.0
    maximum: float = attrs.field(default=3600.0, converter=_maximum)
    jitter: float = 0.1
    give_up_on: tuple[type[BaseException], ...] = attrs.field(default=(), converter=_classes)
    rules: Mapping[type[BaseException], Policy] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ConfigurationError(f"max_attempts {self.max_attempts}: allowed is 1 and more")
        if self.delays is not None and not self.delays:
            raise ConfigurationError("delays is empty: name at least one, or leave it out for exponential delays")
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"jitter {self.jitter}: allowed is 0 to 1")
        if not 1 <= self.factor < math.inf:
            raise ConfigurationError(f"factor {self.factor}: allowed is 1 and more")
        _classes(self.rules)
        for policy in self.rules.values():
            check_policy(policy)

    def next_delay(self, failed: FailedAttempt) -> float | None:
        for kind, policy in self.rules.items():
            if failed.matches(kind):
                return policy.next_delay(failed)
        if failed.attempt >= self.max_attempts or any(failed.matches(kind) for kind in self.give_up_on):
            return None
        return self._delay(failed.attempt) * (1 + self.jitter * failed.random.random())

    def _delay(self, attempt: int) -> float:
        if self.delays is not None:
            return self.delays[min(attempt, len(self.delays)) - 1]
        delay = self.first
        for _ in range(attempt - 1):
            if not 0 < delay < self.maximum:
                break
            delay *= self.factor
        return min(self.maximum, delay)


DEFAULT_POLICY = RetryPolicy()
