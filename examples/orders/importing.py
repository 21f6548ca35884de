"""The import: one tracked job that reads a log in chunks, and can die between any two of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from examples.orders import database
from examples.orders.app import jobs
from examples.orders.invoices import make_invoice
from examples.orders.order_log import Order, Row, read_log
from examples.orders.payments import charge
from examples.orders.receipts import send_receipt
from jobkit import current_job
from jobkit.handlers import New

CHUNK = 50
"""Lines in one transaction: enough to make commits cheap, few enough that nobody waits long for SQLite's write lock."""


@jobs.handler(queue="imports", track=True)
def import_orders(log: str, limit: int | None = None) -> int:
    """
    Take over the first *limit* lines of the file *log*, or all of it. Returns how many were still to do.

    Orders and their jobs are written in one transaction: a job exists if and only if its order does. Each line has one
    row afterwards, so a second run, whether after a crash, by a retry or at the same time, finds what is done already.
    """
    rows = list(islice(read_log(Path(log)), limit))
    engine = database.engine(database.home(jobs.backends))
    with engine.connect() as connection:
        begun = done = database.lines_taken_over(connection, Path(log).stem)
    for chunk in _chunks(rows[begun:]):
        if current_job().lost:
            break
        with engine.begin() as connection:
            orders = database.add(connection, chunk)
            jobs.enqueue_many([job for order in orders for job in _jobs_of(order)], connection=connection)
        done += len(chunk)
        current_job().progress(done, len(rows), f"{chunk[-1].log}, line {chunk[-1].line}")
    return done - begun


def _jobs_of(order: Order) -> Iterator[New[Any]]:
    yield send_receipt.new(order)
    yield make_invoice.new(order)
    if order.dollars:
        yield charge.new(order)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
