"""Which dead letters a command is about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import attrs
import click

from jobkit.app import JobKit
from jobkit.cli.options import INSTANT, QUEUE
from jobkit.records import DeadEntry

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(kw_only=True)
class Filters:
    """None takes all of them."""

    queue: str | None
    type: str | None
    error: str | None
    since: datetime | None

    def find(self, app: JobKit, limit: int) -> list[DeadEntry]:
        """Those that match, the oldest first."""
        return app.dead.list(queue=self.queue, type=self.type, error=self.error, since=self.since, limit=limit)

    def __bool__(self) -> bool:
        return any(value is not None for value in attrs.astuple(self))


def filter_options(command: F) -> F:
    """Add the options that choose dead letters, and hand the command the `Filters`."""

    @click.option("--queue", type=QUEUE, help="Only of this queue.")
    @click.option("--type", "type_", help="Only of this job type.")
    @click.option("--error", help="Only with this text in the error's class or message.")
    @click.option("--since", type=INSTANT, help="Only those that died since: 2026-01-31T18:00:00Z, or 2h for two hours ago.")
    @functools.wraps(command)
    def with_filters(
        *args: Any, queue: str | None, type_: str | None, error: str | None, since: datetime | None, **values: Any
    ) -> Any:
        return command(*args, filters=Filters(queue=queue, type=type_, error=error, since=since), **values)

    return with_filters  # type: ignore[return-value]
