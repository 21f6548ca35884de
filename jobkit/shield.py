"""
What a handler calls of jobkit, kept from being cut off half-way by the handler's time limit.

The limit of a handler in a thread is an exception that another thread raises in it, between any two instructions: also right
behind the one that has taken a lock, which would then stay taken for good. It waits until a shielded call has returned.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Limit(Protocol):
    """What may interrupt a thread."""

    def hold(self) -> None:
        """Interrupt nothing until `let_go`; may be nested."""

    def let_go(self) -> None:
        """Raises what was held back."""


class _Thread(threading.local):
    limit: Limit | None = None


_THREAD = _Thread()


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """*limit* may interrupt this thread within the block."""
    before, _THREAD.limit = _THREAD.limit, limit
    try:
        yield
    finally:
        _THREAD.limit = before


def shielded(function: Callable[P, R]) -> Callable[P, R]:
    """*function*, never cut off by a time limit; one that is reached meanwhile is raised when it returns."""

    @functools.wraps(function)
    def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        limit = _THREAD.limit
        if limit is None:
            return function(*args, **kwargs)
        limit.hold()
        try:
            return function(*args, **kwargs)
        finally:
            limit.let_go()

    return whole
