"""What a handler says about its jobs, and what one enqueue says beyond its arguments: checked where they are said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError
from jobkit.queues import Priority, check_priority, check_queue
from jobkit.retry import DEFAULT_POLICY, Policy, check_policy


def _timeout(value: Duration | None) -> float | None:
    return None if value is None else seconds(value, "timeout")


def _expires(value: Duration | None) -> float | None:
    return None if value is None else seconds(value, "expires")


def _result_ttl(value: Duration) -> float:
    return seconds(value, "result_ttl")


def _type_name(name: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}", str(name)):
        raise ConfigurationError(f"handler name {name!r}: allowed are 1 to 200 characters, none of them a control character")
    return str(name)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError(f"aliases {names!r}: give a list of names")
    return tuple(map(_type_name, names))


@attrs.frozen(kw_only=True)
class Options:
    """
    What a handler says about its jobs.

    Attributes:
        name: The jobs' type on the wire.
        aliases: Former names: jobs under them run here too.
        timeout: Seconds that a run may take.
        isolated: Run in a process of its own, which can be killed.
        track: Keep a record: status, waiting for the result, progress.
        result_ttl: Seconds for which a tracked job's end is kept.
        expires: Seconds after the enqueue; a job that has not started by then ends as expired.
        version: The version of the arguments, carried along.
    """

    name: str = attrs.field(converter=_type_name)
    queue: str = attrs.field(default="default", converter=check_queue)
    priority: Priority = attrs.field(default="normal", converter=check_priority)
    retry: Policy = attrs.field(default=DEFAULT_POLICY, converter=check_policy)
    timeout: float | None = attrs.field(default=None, converter=_timeout)
    isolated: bool = False
    track: bool = False
    result_ttl: float = attrs.field(default=86400.0, converter=_result_ttl)
    expires: float | None = attrs.field(default=None, converter=_expires)
    aliases: tuple[str, ...] = attrs.field(default=(), converter=_names)
    version: int = 1


@attrs.frozen(kw_only=True)
class Using:
    """What one enqueue says beyond its arguments; None leaves it to the handler."""

    delay: float | None = None
    at: datetime | None = None
    expires: float | None = None
    priority: Priority | None = None
    queue: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    connection: Any = None


def check_instant(at: datetime | None, delay: Duration | None) -> datetime | None:
    if at is not None and delay is not None:
        raise ConfigurationError("using(): give delay= or at=, not both")
    if at is not None and not isinstance(at, datetime):
        raise ConfigurationError(f"at={at!r}: allowed is an aware datetime")
    if at is not None and at.utcoffset() is None:
        raise ConfigurationError(f"at={at.isoformat()}: a naive datetime says no instant; give it a time zone")
    return at


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers {headers!r}: allowed is a mapping of texts")
    for name, value in headers.items():
        if not all(isinstance(text, str) for text in (name, value)):
            raise ConfigurationError(f"header {name!r}: names and values are text")
        if not (name + value).isprintable() and re.search("[\ud800-\udfff]", name + value):
            raise ConfigurationError(f"header {name!r}: a lone surrogate is no text that can be carried")
    return dict(headers)
