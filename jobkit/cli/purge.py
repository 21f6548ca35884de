"""``jobkit purge``: empty a queue."""

from __future__ import annotations

import click

from jobkit.app import JobKit
from jobkit.cli.confirmation import confirm, dry_run_option, yes_option
from jobkit.cli.options import QUEUE, app_options
from jobkit.cli.output import json_option, note, print_json


@click.command()
@click.argument("queue", type=QUEUE)
@yes_option
@dry_run_option
@json_option
@app_options
def purge(app: JobKit, queue: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove every job that waits in QUEUE. Running ones, ones parked for later and dead letters stay."""
    waiting = _waiting(app, queue)
    if dry_run:
        removed: int | None = 0
        note(f"would remove {waiting} from {queue}")
    else:
        confirm(f"Remove {waiting} from {queue}?", yes)
        removed = app.purge(queue)
    if as_json:
        print_json({"queue": queue, "removed": removed})
    elif not dry_run:
        click.echo(f"removed {_jobs(removed)} from {queue}")


def _waiting(app: JobKit, queue: str) -> str:
    [figures] = app.stats([queue])
    if figures.delayed is None or not figures.delayed:
        return f"{_jobs(figures.ready)} (ready)"
    return f"{_jobs(figures.ready)} (ready), and of {figures.delayed} delayed ones those that the broker keeps,"


def _jobs(count: int | None) -> str:
    if count is None:
        return "jobs that the broker cannot count"
    return "1 job" if count == 1 else f"{count} jobs"
