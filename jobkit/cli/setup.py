"""``jobkit setup``: create or migrate what the backend needs."""

from __future__ import annotations

import click

from jobkit.app import JobKit
from jobkit.cli.options import app_options, queues_option
from jobkit.cli.output import json_option, note, print_json


@click.command()
@queues_option
@json_option
@app_options
def setup(app: JobKit, queues: tuple[str, ...], as_json: bool) -> None:
    """Create or migrate schema, tables and queues; safe to repeat, and beside running workers.

    Where queues are made one by one, those of --queue are, else those of the handlers of --app.
    """
    changes = [change.what for change in app.setup(queues)]
    if as_json:
        print_json({"changes": changes})
        return
    for change in changes:
        click.echo(change)
    if not changes:
        note("nothing to do: all is there")
