"""Watching the work: bars that follow what can be counted, until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Sequence

from examples.orders import database
from examples.orders.app import jobs
from examples.orders.books import Places
from examples.orders.crew import QUEUES, Crew
from examples.orders.display import bars
from jobkit import Enqueued, JobFailed, JobKitError
from jobkit.heartbeats import WorkerReport

EVERY = 0.25
"""Seconds between two looks."""

PATIENCE = 60.0
"""Seconds without any change after which something must be wrong."""

Work = dict[str, tuple[float, float]]
"""How much is done of how much."""


def until_quiet(imports: Sequence[Enqueued[int]], places: Places, crew: Crew) -> None:
    """
    Returns when *imports* have ended and no job waits, runs or will be retried.

    Raises:
        JobFailed: An import is dead.
        JobKitError: The workers are gone, or nothing has moved for too long.
    """
    before, moved = None, time.monotonic()
    with bars() as shown:
        tasks = {name: shown.add_task(name) for name in _work(imports, places)}
        while True:
            crew.check()
            # First whether all is quiet, then the figures: so the last ones that are shown are the final ones.
            quiet = _ended(imports) and not _waiting()
            work = _work(imports, places)
            for name, (done, total) in work.items():
                shown.update(tasks[name], completed=done, total=total)
            if quiet:
                return
            if work != before:
                before, moved = work, time.monotonic()
            elif time.monotonic() - moved > PATIENCE:
                raise JobKitError(f"nothing has moved for {PATIENCE:.0f} s: {jobs.stats(QUEUES)}")
            time.sleep(EVERY)


def reports(runs: int, patience: float = 15.0) -> list[WorkerReport]:
    """What the workers say of themselves, which they do every few seconds: waits until they tell of as many as *runs*."""
    deadline = time.monotonic() + patience
    while True:
        found = jobs.workers()
        told = sum(counts.done for report in found for counts in report.types.values())
        if told >= runs or time.monotonic() > deadline:
            return found
        time.sleep(EVERY)


def _work(imports: Sequence[Enqueued[int]], places: Places) -> Work:
    mails, invoices, payments = places.tally()
    with database.engine(database.home(jobs.backends)).connect() as connection:
        orders, to_charge = database.count_orders(connection)
    work: Work = {"receipts": (mails, orders), "invoices": (invoices, orders), "payments": (payments, to_charge)}
    if imports:
        told = [progress for job in imports if (progress := job.status().progress) is not None]
        work = {"import": (sum(at.done for at in told), sum(at.total or at.done for at in told)), **work}
    return work


def _ended(imports: Sequence[Enqueued[int]]) -> bool:
    found = [job.status() for job in imports]
    for status in found:
        if status.state == "dead":
            raise JobFailed(f"the import is dead: {status.reason}", status.state)
    return all(status.finished for status in found)


def _waiting() -> int:
    outbox = jobs.outbox_depth()  # first: what leaves it in this moment shall be counted in its queue
    waiting = 0 if outbox is None else (outbox.ready or 0) + (outbox.leased or 0)
    return waiting + sum((queue.ready or 0) + (queue.delayed or 0) + (queue.leased or 0) for queue in jobs.stats(QUEUES))
