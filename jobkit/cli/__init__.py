"""The command ``jobkit``: an edge of the core, which never imports it."""

from jobkit.cli.root import main

__all__ = ["main"]
