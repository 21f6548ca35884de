"""What a handler can ask and say about the job that it runs: `current_job`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import attrs

from jobkit.errors import NotTracked

Report = Callable[[float, float | None, str], None]


class Signal:
    """A flag that one thread sets and others look at. A threading.Event could also be waited for, at ten times the cost."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True


@attrs.define(eq=False, kw_only=True)
class Job:
    """
    The job that is being run here.

    Attributes:
        attempt: From 1. Grows by one per failure, and per crash that was noticed.
        redelivered: It was handed out before, and nobody settled it: what it does may have been done in part.
        headers: What the sender gave along; text by text.
        state: What the app's lifespan yielded in this process.
    """

    id: str
    type: str
    queue: str
    attempt: int
    redelivered: bool
    enqueued_at: datetime
    headers: Mapping[str, str]
    state: Any = attrs.field(default=None, repr=False)
    _lost: Signal = attrs.field(factory=Signal, repr=False)
    _report: Report | None = attrs.field(default=None, repr=False)

    @property
    def lost(self) -> bool:
        """
        Whether the lease was lost: another worker may run the job by now, and what this run returns will be dropped.

        A long handler looks at it between steps and stops when it is set. Async ones are cancelled instead.
        """
        return self._lost.is_set()

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """
        Report how far the job is; read by `JobKit.status`. Cheap: calls in quick succession are gathered into one write.

        Raises:
            NotTracked: The handler does not say ``track=True``.
            ValueError: A number is not finite.
        """
        if self._report is None:
            raise NotTracked(f"{self.type}: progress needs a handler with track=True")
        if not math.isfinite(done) or not (total is None or math.isfinite(total)):
            raise ValueError(f"progress({done}, {total}): allowed are finite numbers")
        self._report(done, total, note)


_CURRENT: ContextVar[Job] = ContextVar("jobkit_current_job")


def current_job() -> Job:
    """
    The job that this code runs in; threads that a handler starts itself do not inherit it.

    Raises:
        LookupError: It runs in none.
    """
    try:
        return _CURRENT.get()
    except LookupError:
        raise LookupError("current_job(): no job is running here") from None
