"""Options that several commands share, and the kinds of values that they take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from jobkit import config
from jobkit.durations import seconds
from jobkit.errors import ConfigurationError
from jobkit.queues import check_queue

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
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
