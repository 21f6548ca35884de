"""What removes jobs for good asks first: a person at a terminal is asked, everybody else says --yes."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


def confirm(question: str, yes: bool) -> None:
    """
    Raises:
        click.UsageError: Nobody is there to be asked.
        click.Abort: The answer was no.
    """
    if yes:
        return
    if not somebody_is_there():
        raise click.UsageError(f"{question} Nobody is there to answer: give --yes, or look first with --dry-run")
    click.confirm(question, abort=True, err=True)


def somebody_is_there() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()
