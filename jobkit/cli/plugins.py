"""Commands that other distributions add through the entry-point group ``jobkit.commands``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import click

from jobkit.cli.failures import CONFIGURATION, Failure

COMMANDS = "jobkit.commands"


def found() -> dict[str, EntryPoint]:
    """By name; nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


def origin(entry: EntryPoint) -> str:
    """The distribution that adds it."""
    return entry.dist.name if entry.dist is not None else entry.value


def load(name: str) -> click.Command | None:
    """
    The command of this name; None if nobody adds one.

    Raises:
        Failure: It cannot be loaded. Other commands go on working.
    """
    entry = found().get(name)
    if entry is None:
        return None
    try:
        command = entry.load()
    except Exception as error:  # a stranger's module may raise anything
        text = f"the command {name!r}, added by {origin(entry)}, cannot be loaded: {type(error).__name__}: {error}"
        raise Failure(text, CONFIGURATION) from error
    if not isinstance(command, click.Command):
        raise Failure(f"the command {name!r}, added by {origin(entry)}, is {command!r}, not a click command", CONFIGURATION)
    return command
