"""``jobkit worker``: run an app's jobs until told to stop."""

from __future__ import annotations

import logging

import click

from jobkit.cli.options import DURATION, backend_options, queues_option
from jobkit.errors import ConfigurationError

LOG_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.argument("app")
@queues_option
@click.option("--concurrency", default=10, show_default=True, metavar="N", help="Jobs at once in each process.")
@click.option("--processes", default=1, show_default=True, metavar="P", help="Worker processes.")
@click.option(
    "--lease",
    default="60",
    show_default=True,
    type=DURATION,
    metavar="SECONDS",
    help="For how long jobs are borrowed; extended while they run. A crashed worker's jobs come back after it.",
)
@click.option(
    "--grace",
    default="25",
    show_default=True,
    type=DURATION,
    metavar="SECONDS",
    help="How long running jobs may go on after the first SIGTERM or Ctrl-C; a second one ends them at once.",
)
@click.option("--burst", is_flag=True, help="End when nothing is left to do, delayed jobs aside.")
@click.option("--relay", is_flag=True, help="Move the outbox's jobs on, too (JOBKIT_OUTBOX_URL).")
@click.option("--factory", is_flag=True, help="APP is a function that returns the app.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS, case_sensitive=False), default="info", show_default=True)
@backend_options
@click.pass_context
def worker(
    context: click.Context,
    app: str,
    queues: tuple[str, ...],
    concurrency: int,
    processes: int,
    lease: float,
    grace: float,
    burst: bool,
    relay: bool,
    factory: bool,
    log_level: str,
) -> None:
    """Run the jobs of APP, such as shop.app:jobs, until told to stop.

    Without --queue, it works on the queues of all of the app's handlers.
    """
    # Here and not above: what runs jobs is a good deal more than a look at --help needs.
    from jobkit.worker.settings import Settings
    from jobkit.worker.supervisor import Job, Supervisor, log_to_stderr

    try:
        settings = Settings(
            queues=queues,
            concurrency=concurrency,
            processes=processes,
            lease=lease,
            grace=grace,
            burst=burst,
            relay=relay,
        )
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    level = logging.getLevelNamesMapping()[log_level.upper()]
    log_to_stderr(level)
    context.exit(Supervisor(Job(app_path=app, factory=factory, settings=settings, log_level=level)).run())
