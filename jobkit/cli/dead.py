"""``jobkit dead``: look at dead letters. What changes them stands in dead_changes."""

from __future__ import annotations

import base64
from typing import Any

import click
import msgspec

from jobkit.app import JobKit
from jobkit.cli.dead_changes import purge, replay
from jobkit.cli.dead_filters import Filters, filter_options
from jobkit.cli.options import app_options
from jobkit.cli.output import json_option, note, plain, print_fields, print_json, print_table
from jobkit.dead_letters import DeadLetter
from jobkit.envelope import Failure


@click.group()
def dead() -> None:
    """List, show, replay and purge dead letters: jobs that failed for good."""


dead.add_command(replay)
dead.add_command(purge)


@dead.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@app_options
def list_(app: JobKit, filters: Filters, limit: int, as_json: bool) -> None:
    """Dead letters, the oldest first."""
    entries = filters.find(app, limit)
    if as_json:
        print_json({"dead": [plain(entry) for entry in entries]})
    elif entries:
        headers = ("id", "type", "queue", "died at", "attempts", "error", "message")
        rows = [(e.id, e.type, e.queue, e.died_at, e.attempts, e.error, _short(e.message)) for e in entries]
        print_table(headers, rows, right=("attempts",))
    else:
        note("no dead letters")
    if len(entries) == limit:
        note(f"there may be more than these {limit}: see --limit")


@dead.command("show")
@click.argument("job_id", metavar="ID")
@json_option
@app_options
def show(app: JobKit, job_id: str, as_json: bool) -> None:
    """One dead letter, with its arguments and every failure that is kept."""
    letter = app.dead.show(job_id)
    if as_json:
        print_json(_as_json(letter))
        return
    names = ("id", "type", "queue", "reason", "died_at", "worker", "attempts")
    print_fields([*((name.replace("_", " "), getattr(letter, name)) for name in names), ("arguments", _arguments(letter))])
    for failure in letter.failures:
        _print_failure(failure)


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    fields = {name: value for name, value in plain(letter).items() if name not in ("body", "envelope", "failures")}
    return {
        **fields,
        "args": None if letter.envelope is None else letter.envelope.args,
        "failures": [plain(failure) for failure in letter.failures],
        "body_base64": base64.b64encode(letter.body).decode(),
    }


def _arguments(letter: DeadLetter) -> str:
    if letter.envelope is None:
        return f"unknown, the body cannot be decoded: {letter.body[:200]!r}"
    return msgspec.json.format(bytes(letter.envelope.args), indent=0).decode(errors="replace")


def _print_failure(failure: Failure) -> None:
    click.echo()
    click.secho(f"attempt {failure.attempt}, {failure.at:%Y-%m-%d %H:%M:%S}Z, {failure.worker}", bold=True)
    click.echo((failure.traceback or f"{failure.error}: {failure.message}").rstrip())


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 80 else line[:79] + "…"
