"""
How a run of a handler ended, as a value. A handler chooses some of them by raising: `Retry`, `Snooze`, `Discard`, `Dead`.

The worker turns an outcome into what follows in `jobkit.decision`; nothing else interprets it.
"""

from __future__ import annotations

import attrs

from jobkit.durations import Duration, seconds


class _Raised(Exception):
    """The root of what a handler raises to steer; not an error."""


class Retry(_Raised):
    """
    Try again *after* that time (seconds, timedelta or "10m"); None leaves the time to the retry policy.

    It spends an attempt; after the last one the job dies.
    """

    def __init__(self, after: Duration | None = None, reason: str = "") -> None:
        self.after = None if after is None else seconds(after, "Retry(after)")
        self.reason = reason
        super().__init__(reason or "the handler asked to be retried")


class Snooze(_Raised):
    """Run again *after* that time, as if this run had not been: it spends no attempt."""

    def __init__(self, after: Duration, reason: str = "") -> None:
        self.after = seconds(after, "Snooze(after)")
        self.reason = reason
        super().__init__(reason or "the handler asked to be run later")


class Discard(_Raised):
    """End the job without a result and without a dead letter."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "the handler discarded the job")


class Dead(_Raised):
    """Make the job a dead letter now: another attempt could not help."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "the handler declared the job dead")


@attrs.frozen
class Success:
    """It returned. *result* is its JSON where somebody needs it, else None."""

    result: bytes | None = None


@attrs.frozen
class Failed:
    """
    It raised, timed out, or its process died.

    Attributes:
        kinds: The names of the exception's class and of all its bases, most derived first.
        after: Seconds that the handler asked for; None leaves it to the policy.
        final: No policy is asked: this was the last attempt.
    """

    kinds: tuple[str, ...]
    message: str
    traceback: str = ""
    after: float | None = None
    final: bool = False


@attrs.frozen
class Snoozed:
    """It asked to be run *after* so many seconds."""

    after: float
    reason: str = ""


@attrs.frozen
class Discarded:
    """It discarded the job."""

    reason: str = ""


@attrs.frozen
class Expired:
    """It was not started by the time that its sender set."""


@attrs.frozen
class UnknownType:
    """No handler goes by the job's type in this worker."""

    known: tuple[str, ...] = ()


@attrs.frozen
class HandedBack:
    """It was not started, or was stopped by a shutdown: somebody else shall run it, as if nothing had been."""


Outcome = Success | Failed | Snoozed | Discarded | Expired | UnknownType | HandedBack


def class_names(kind: type[BaseException]) -> tuple[str, ...]:
    """The names of *kind* and its bases, as `Failed.kinds` holds them."""
    return tuple(f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__ if base is not object)
