"""``jobkit relay``: move the outbox's jobs on until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from jobkit.app import JobKit
from jobkit.backend import Backend
from jobkit.cli.options import app_options
from jobkit.errors import ConfigurationError


@click.command()
@click.option("--burst", is_flag=True, help="End when nothing is left to move, delayed jobs aside.")
@app_options
def relay(app: JobKit, burst: bool) -> None:
    """Move jobs from the outbox (JOBKIT_OUTBOX_URL) to the transport, until told to stop.

    Any number of relays may run at once; a worker with --relay is one too.
    """
    from jobkit.worker.relay import Relay
    from jobkit.worker.settings import new_worker_id
    from jobkit.worker.supervisor import log_to_stderr

    log_to_stderr(logging.INFO)
    outbox = _outbox(app)
    mover = Relay(outbox, app.backend, new_worker_id())
    with _stopped_by_signals() as stop:
        if burst:
            mover.drain(stop)
        else:
            mover.run(stop)


def _outbox(app: JobKit) -> Backend:
    outbox = app.outbox
    if outbox is None:
        raise ConfigurationError("a relay needs an outbox: set JOBKIT_OUTBOX_URL, or give JobKit(outbox=...)")
    return outbox


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
