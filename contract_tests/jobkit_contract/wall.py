"""
A wall clock that can be set wrong, for one process: everything that Python asks for the time of day is off.

Steady clocks are left alone. It must be installed before whatever it is to deceive is imported, so this module and those
that import it first know only the standard library.
"""

from __future__ import annotations

import datetime as datetime_module
import time
from datetime import tzinfo
from typing import Any

_offset = 0.0

_time, _time_ns, _clock_gettime = time.time, time.time_ns, time.clock_gettime
_clock_gettime_ns, _gmtime, _localtime = time.clock_gettime_ns, time.gmtime, time.localtime


def set_wrong_by(seconds: float) -> None:
    """From now on the time of day is wrong by *seconds*."""
    global _offset
    _offset = seconds


def install() -> None:
    """Put the wrong clock in the place of the right one, for the rest of this process's life."""
    changes: dict[str, Any] = {
        "time": lambda: _time() + _offset,
        "time_ns": lambda: _time_ns() + round(_offset * 1e9),
        "clock_gettime": lambda which: _clock_gettime(which) + _skew(which),
        "clock_gettime_ns": lambda which: _clock_gettime_ns(which) + round(_skew(which) * 1e9),
        "gmtime": lambda when=None: _gmtime(_time() + _offset if when is None else when),
        "localtime": lambda when=None: _localtime(_time() + _offset if when is None else when),
    }
    for name, function in changes.items():
        setattr(time, name, function)
    datetime_module.datetime = WrongDatetime  # type: ignore[misc]


def _skew(which: int) -> float:
    return _offset if which == time.CLOCK_REALTIME else 0.0


class WrongDatetime(datetime_module.datetime):
    """`datetime.datetime`, as the wrong clock has it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> WrongDatetime:
        return cls.fromtimestamp(_time() + _offset, tz)

    @classmethod
    def utcnow(cls) -> WrongDatetime:
        return cls.fromtimestamp(_time() + _offset, datetime_module.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> WrongDatetime:
        return cls.now()
