"""``jobkit doctor``: what a person should know before trusting jobs to this installation and this backend."""

from __future__ import annotations

from collections.abc import Iterator

import click

from jobkit.cli.examination.backend import examine_backend
from jobkit.cli.examination.diagnosis import Diagnosis
from jobkit.cli.examination.installation import examine_installation
from jobkit.cli.failures import ERROR, OK, masked
from jobkit.cli.options import app_location_options, backend_options
from jobkit.cli.output import json_option, plain, print_json

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command()
@json_option
@backend_options
@app_location_options
@click.pass_context
def doctor(context: click.Context, /, as_json: bool, app_path: str | None, factory: bool) -> None:
    """Examine installation, configuration and backend, and say what to do about what is wrong.

    Nothing is changed. It fails (1) if there is an error, such as a server's setting that would lose jobs.
    """
    diagnoses = []
    for diagnosis in _examine(context, app_path, factory):
        diagnoses.append(diagnosis)
        if not as_json:
            _print(context, diagnosis)
    if as_json:
        print_json({"findings": [_shown(context, diagnosis) for diagnosis in diagnoses]})
    context.exit(ERROR if any(diagnosis.level == "error" for diagnosis in diagnoses) else OK)


def _examine(context: click.Context, app_path: str | None, factory: bool) -> Iterator[Diagnosis]:
    yield from examine_installation()
    yield from examine_backend(context, app_path, factory)


def _shown(context: click.Context, diagnosis: Diagnosis) -> dict[str, str]:
    return {name: masked(text, context) for name, text in plain(diagnosis).items()}


def _print(context: click.Context, diagnosis: Diagnosis) -> None:
    shown = _shown(context, diagnosis)
    level = click.style(f"{shown['level']:<7}", fg=_COLOURS[diagnosis.level])
    click.echo(f"{level}  {shown['subject']:<13}  {shown['what']}")
    if diagnosis.advice:
        click.echo(f"{'':24}→ {shown['advice']}")
