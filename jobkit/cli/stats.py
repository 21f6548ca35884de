"""``jobkit stats``: how much lies where, and who works on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from jobkit.app import JobKit
from jobkit.cli.options import app_options, queues_option
from jobkit.cli.output import json_option, note, plain, print_json, print_table
from jobkit.heartbeats import WorkerReport
from jobkit.stats import QueueStats
from jobkit.transport import Depth

FIGURES = ("ready", "delayed", "leased", "dead", "oldest_age")
COUNTERS = ("done", "retried", "dead", "snoozed", "discarded", "expired", "lost")


@click.command()
@queues_option
@json_option
@app_options
def stats(app: JobKit, queues: tuple[str, ...], as_json: bool) -> None:
    """How much lies in the queues, and what the workers have done.

    What a broker cannot tell is "-", and null in JSON. The oldest age is that of the oldest ready job, in seconds.
    """
    figures, workers, outbox = app.stats(queues), app.workers(), app.outbox_depth()
    if as_json:
        told = {"queues": [plain(queue) for queue in figures], "workers": [plain(worker) for worker in workers]}
        print_json(told if outbox is None else {**told, "outbox": _lag(outbox)})
        return
    _print_queues(figures)
    if outbox is not None:
        click.echo()
        lag = _lag(outbox)
        print_table(("outbox", *(name.replace("_", " ") for name in lag)), [("", *lag.values())], right=tuple(lag))
    _print_workers(workers)


def _lag(outbox: Depth) -> dict[str, Any]:
    """What waits in the outbox; the oldest age is by how much the relays lag behind."""
    return {"ready": outbox.ready, "delayed": outbox.delayed, "leased": outbox.leased, "oldest_age": outbox.oldest_age}


def _print_queues(figures: Sequence[QueueStats]) -> None:
    if not figures:
        note("no queue is known: no job waits, and no worker was heard of; name one with --queue")
        return
    headers = ("queue", *(name.replace("_", " ") for name in FIGURES))
    rows = [(queue.queue, *(getattr(queue, name) for name in FIGURES)) for queue in figures]
    print_table(headers, rows, right=headers[1:])


def _print_workers(workers: Sequence[WorkerReport]) -> None:
    if not workers:
        note("no worker was heard of lately")
        return
    click.echo()
    headers = ("worker", "running", "waiting", "slots", "queues", "since")
    rows = [(w.id, w.running, w.waiting, w.concurrency, ", ".join(w.queues), w.started_at) for w in workers]
    print_table(headers, rows, right=headers[1:4])
    if counted := [row for worker in workers for row in _count(worker)]:
        click.echo()
        figures = (*COUNTERS, "mean s", "longest s")
        print_table(("worker", "type", *figures), counted, right=figures)


def _count(worker: WorkerReport) -> list[tuple[Any, ...]]:
    return [
        (
            worker.id,
            name,
            *(getattr(counts, counter) for counter in COUNTERS),
            counts.seconds / counts.ran if counts.ran else None,
            counts.longest if counts.ran else None,
        )
        for name, counts in sorted(worker.types.items())
    ]
