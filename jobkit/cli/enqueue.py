"""``jobkit enqueue``: one job from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from jobkit import enqueueing
from jobkit.app import JobKit
from jobkit.cli.options import DURATION, QUEUE, app_options
from jobkit.cli.output import json_option, note, print_json
from jobkit.options import Using
from jobkit.queues import PRIORITIES, Priority


def _arguments(context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r}: write name=value", context, option)
        if name in values:
            raise click.BadParameter(f"{name!r} is given twice", context, option)
        values[name] = _value(value)
    return values


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode(errors="surrogateescape"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text


@click.command()
@click.argument("job_type", metavar="TYPE")
@click.option(
    "--arg",
    "args",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_arguments,
    help="An argument; JSON if it reads as such, else text. A text that reads as JSON is quoted: --arg 'zip=\"01234\"'.",
)
@click.option("--delay", type=DURATION, help="Start no earlier than so long from now, such as 10m.")
@click.option("--expires", type=DURATION, help="Not started within so long, it ends as expired.")
@click.option("--priority", type=click.Choice(PRIORITIES))
@click.option("--queue", type=QUEUE, help="Instead of the handler's own queue.")
@json_option
@app_options
@click.pass_context
def enqueue(
    context: click.Context,
    /,
    app: JobKit,
    job_type: str,
    args: dict[str, Any],
    delay: float | None,
    expires: float | None,
    priority: Priority | None,
    queue: str | None,
    as_json: bool,
) -> None:
    """Enqueue one job of TYPE, and print its id.

    With --app, the arguments are checked against the handler; without, only a worker will see whether they fit.
    """
    using = Using(delay=delay, expires=expires, priority=priority, queue=queue)
    if context.params["app_path"] is not None:
        job_id = _checked(app, job_type, args, using)
    else:
        note(f"without --app, neither the name {job_type!r} nor the arguments are checked")
        job_id = _unchecked(app, job_type, args, using)
    if as_json:
        print_json({"id": job_id, "type": job_type})
    else:
        click.echo(job_id)


def _checked(app: JobKit, job_type: str, args: dict[str, Any], using: Using) -> str:
    handler = app.get(job_type)
    bound = handler.using(delay=using.delay, expires=using.expires, priority=using.priority, queue=using.queue)
    return bound.enqueue(**args).id


def _unchecked(app: JobKit, job_type: str, args: dict[str, Any], using: Using) -> str:
    job_id, plan = enqueueing.plan_unchecked(job_type, msgspec.Raw(msgspec.json.encode(args)), using, app.backend)
    enqueueing.carry_out(plan, app.backend)
    return job_id
