"""
A wall clock that can be set wrong, for one process: everything that Python asks for the time of day is off.

Steady clocks are left alone.
"""

from __future__ import annotations

import datetime as datetime_module
import sys
import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

_offset = 0.0

_datetime = datetime_module.datetime
_time, _time_ns, _clock_gettime = time.time, time.time_ns, time.clock_gettime
_clock_gettime_ns, _gmtime, _localtime = time.clock_gettime_ns, time.gmtime, time.localtime


def set_wrong_by(seconds: float) -> None:
    """From now on the time of day is wrong by *seconds*."""
    global _offset
    _offset = seconds


def install() -> None:
    """Put the wrong clock in the place of the right one, also where others have imported it, until this process ends."""
    replacements: Mapping[Callable[..., Any], Callable[..., Any]] = {
        _time: lambda: _time() + _offset,
        _time_ns: lambda: _time_ns() + round(_offset * 1e9),
        _clock_gettime: lambda which: _clock_gettime(which) + _skew(which),
        _clock_gettime_ns: lambda which: _clock_gettime_ns(which) + round(_skew(which) * 1e9),
        _gmtime: lambda when=None: _gmtime(_time() + _offset if when is None else when),
        _localtime: lambda when=None: _localtime(_time() + _offset if when is None else when),
        _datetime: WrongDatetime,
    }
    for name, module in list(sys.modules.items()):
        if name != __name__ and (name in ("time", "datetime") or name.partition(".")[0] not in sys.stdlib_module_names):
            _replace(module, replacements)


def _replace(module: Any, replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
    for name, value in list(vars(module).items()):
        for old, new in replacements.items():
            if value is old:
                setattr(module, name, new)


def _skew(which: int) -> float:
    return _offset if which == time.CLOCK_REALTIME else 0.0


class _AlsoTrueOnes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class WrongDatetime(_datetime, metaclass=_AlsoTrueOnes):
    """`datetime.datetime`, as the wrong clock has it. What it makes are true ones, with a wrong time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(_time() + _offset, tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(_time() + _offset, datetime_module.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()
