"""``jobkit status``: where one tracked job stands."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from jobkit.app import JobKit
from jobkit.cli.options import app_options
from jobkit.cli.output import json_option, plain, print_fields, print_json
from jobkit.records import Progress
from jobkit.status import JobStatus


@click.command()
@click.argument("job_id", metavar="ID")
@json_option
@app_options
def status(app: JobKit, job_id: str, as_json: bool) -> None:
    """Where the tracked job ID stands, how far it is, and how it ended."""
    found = app.status(job_id)
    if as_json:
        print_json(_as_json(found))
    else:
        print_fields([(name.replace("_", " "), value) for name, value in _as_text(found).items()])


def _as_json(found: JobStatus) -> dict[str, Any]:
    result = None if found.result is None else msgspec.Raw(found.result)
    return {**plain(found), "finished": found.finished, "result": result}


def _as_text(found: JobStatus) -> dict[str, Any]:
    result = None if found.result is None else found.result.decode(errors="replace")
    return {**plain(found), "progress": found.progress and _in_words(found.progress), "result": result}


def _in_words(progress: Progress) -> str:
    of = "" if progress.total is None else f" of {progress.total:g}"
    return f"{progress.done:g}{of} {progress.note}".strip()
