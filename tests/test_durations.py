"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit.durations import LONGEST, seconds
from jobkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (timedelta(minutes=2), 120.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("2d", 172800.0),
        ("1w", 604800.0),
        (LONGEST, LONGEST),
    ],
)
def test_seconds_timedeltas_and_texts_are_durations(value: Any, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        10**400,
        1e300,
        "9" * 400 + "w",
        "",
        "10",
        "m",
        "-1s",
        "10 minutes",
        "1h30",
        "1y",
        "1e3s",
        True,
        None,
        b"10m",
        [10],
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'delay .*allowed are 0 seconds to 1000 years.*"10m"'):
        seconds(value, "delay")


@given(st.floats(0, LONGEST))
def test_every_allowed_duration_from_now_is_a_date(value: float) -> None:
    assert datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds(value)) >= datetime(2026, 1, 1, tzinfo=UTC)
