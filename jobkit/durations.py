"""Lengths of time as people write them: seconds, a timedelta, or text such as "10m"."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from jobkit.errors import ConfigurationError

Duration = float | int | timedelta | str

LONGEST = 1000 * 365 * 86400.0
"""Seconds. Far beyond any use, and near enough that every instant so far from now is still a date."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_TEXT = re.compile(rf"(?:{_PART.pattern})+")


def seconds(value: Duration, name: str = "duration") -> float:
    """
    *value* as float seconds, 0 or more.

    Text is a number with one of the units ms, s, m, h, d and w, or several of them such as "1h30m".

    Raises:
        ConfigurationError: It is negative, beyond `LONGEST`, or not a duration; the message uses *name*.
    """
    result = _parse(value)
    if result is None or not 0 <= result <= LONGEST:
        raise ConfigurationError(
            f'{name} {value!r}: allowed are 0 seconds to 1000 years, as seconds, a timedelta, or text such as "10m"'
        )
    return result


def _parse(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        text = value.replace(" ", "")
        if not _TEXT.fullmatch(text):
            return None
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond every float
        return math.inf
