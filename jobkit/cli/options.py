"""Options that several commands share, and the kinds of values that they take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from jobkit import config
from jobkit.cli.apps import open_app
from jobkit.durations import seconds
from jobkit.errors import ConfigurationError
from jobkit.queues import check_queue

F = TypeVar("F", bound=Callable[..., Any])


class Instant(click.ParamType):  # type: ignore[type-arg]
    """An instant with its time zone, or how long ago it was."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            instant = _instant(value)
        except (ValueError, ConfigurationError):
            self.fail(
                f'{value!r}: allowed are an instant such as 2026-01-31T18:00:00Z, or "2h" for two hours ago', param, ctx
            )
        if instant.tzinfo is None:
            self.fail(f"{value!r}: without a time zone it says no instant; append Z or +02:00", param, ctx)
        return instant


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if value[4:5] == "-":
        return datetime.fromisoformat(value)
    return datetime.now(UTC) - timedelta(seconds=seconds(value))


class Seconds(click.ParamType):  # type: ignore[type-arg]  # older versions of click have it without parameters
    """Seconds as a number, or a duration such as "10m"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return seconds(_number_or_text(value))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


class QueueName(click.ParamType):  # type: ignore[type-arg]
    """A queue as users name it."""

    name = "queue"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return check_queue(value)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


def _number_or_text(value: Any) -> float | str:
    try:
        return float(value)
    except ValueError:
        return str(value)


DURATION = Seconds()
INSTANT = Instant()
QUEUE = QueueName()

queues_option = click.option(
    "--queue", "queues", type=QUEUE, multiple=True, help="A queue; may be given several times. None: all that are known."
)


def backend_options(command: F) -> F:
    """Add ``--url`` and ``--store``, which count for this process and those that it starts."""

    @click.option("--url", help="The backend's URL. Wins over JOBKIT_URL, and is visible to whoever lists processes.")
    @click.option("--store", help="The store's URL, where it is not the backend's own. Wins over JOBKIT_STORE_URL.")
    @click.pass_context
    @functools.wraps(command)
    def with_backend(context: click.Context, /, *args: Any, url: str | None, store: str | None, **values: Any) -> Any:
        # On the root, so that it still holds when an error is put into words.
        context.find_root().with_resource(config.overridden(url, store))
        return command(*args, **values)

    return with_backend  # type: ignore[return-value]


def app_location_options(command: F) -> F:
    """Add ``--app`` and ``--factory``."""
    path = click.option("--app", "app_path", metavar="MODULE:ATTRIBUTE", help="The app: its handlers, its default backend.")
    factory = click.option("--factory", is_flag=True, help="What --app names is a function that returns the app.")
    return path(factory(command))


def app_options(command: F) -> F:
    """Add ``--app``, ``--factory`` and the backend's options, and hand the command that app, or else a bare one."""

    @backend_options
    @app_location_options
    @click.pass_context
    @functools.wraps(command)
    def with_app(context: click.Context, /, *args: Any, app_path: str | None, factory: bool, **values: Any) -> Any:
        app = context.with_resource(open_app(context, app_path, factory))
        return command(*args, app=app, **values)

    return with_app  # type: ignore[return-value]
