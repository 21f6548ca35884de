"""The root: the commands of this distribution, those that others add, and what holds for all of them."""

from __future__ import annotations

import os
from typing import Any

import click

from jobkit import __version__
from jobkit.cli import plugins
from jobkit.cli.dead import dead
from jobkit.cli.doctor import doctor
from jobkit.cli.enqueue import enqueue
from jobkit.cli.failures import EXPLAINED, told_plainly
from jobkit.cli.purge import purge
from jobkit.cli.relay import relay
from jobkit.cli.setup import setup
from jobkit.cli.stats import stats
from jobkit.cli.status import status
from jobkit.cli.worker import worker

_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in EXPLAINED.items())


class Commands(click.Group):
    """Our commands and, loaded only when they are called, those that other distributions add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *plugins.found()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.commands.get(cmd_name) or plugins.load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._summary(name, formatter.width)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with told_plainly(click.Context(self)):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        # https://no-color.org: whatever the value, unless it is empty.
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        with told_plainly(ctx):
            return super().invoke(ctx)

    def _summary(self, name: str, width: int) -> str:
        if name in self.commands:
            return self.commands[name].get_short_help_str(width)
        return f"(added by {plugins.origin(plugins.found()[name])})"


@click.group(
    cls=Commands, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="jobkit %(version)s")
def main() -> None:
    """Background jobs: run workers, look at what waits and what failed, and put it right.

    The backend is named by --url, else by JOBKIT_URL, else by the app's own default. Data goes to stdout, everything
    else to stderr.
    """


for _command in (dead, doctor, enqueue, purge, relay, setup, stats, status, worker):
    main.add_command(_command)
