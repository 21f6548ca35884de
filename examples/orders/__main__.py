"""
A day in the shop's back office, from the order log to balanced books: ``python -m examples.orders``.

It starts a mail server and a payment service, sets workers going, imports the log and watches. Some payments die, for the
service is in trouble; once it is mended they are replayed. Then every place is counted, and the books must balance.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from examples.orders import database
from examples.orders.app import jobs
from examples.orders.books import Places, order_of, read_books
from examples.orders.crew import QUEUES, Crew, crew
from examples.orders.display import say, show_books, show_dead, show_odd, show_work, step
from examples.orders.importing import import_orders
from examples.orders.services import MAIL_SERVER, PAYMENT_SERVICE, running
from examples.orders.services.payment_service import mend
from examples.orders.watch import reports, until_quiet

DATA = Path(__file__).parent / "data"
LOG, BROKEN = DATA / "CDNOW_sample.txt", DATA / "broken_rows.txt"


def main() -> int:
    options = _options()
    places = Places(Path("demo-data"))
    database.choose(jobs.backends.transport, places.folder)
    step("Opening the shop")
    open_shop(places)
    with (
        jobs,
        running(MAIL_SERVER, str(places.mail)) as mail,
        running(PAYMENT_SERVICE, str(places.payments)) as payments,
        crew(places, mail=mail, payments=payments, processes=options.processes, concurrency=options.concurrency) as workers,
    ):
        wrong = a_day(places, workers, payments, options.orders)
    for line in wrong:
        say(f"[red]The books do not balance: {line}[/red]")
    if not wrong:
        say("\n[green]The books balance: every order has its receipt, its invoice and its payment.[/green]")
    return 1 if wrong else 0


def open_shop(places: Places) -> None:
    """Begin with nothing. A server's database may hold what a demo that was stopped halfway has left."""
    places.make_empty()
    changes = jobs.setup()
    say(f"jobs.setup() on {jobs.backends.transport}: {len(changes)} changes")
    if jobs.backends.outbox is not None:
        say(f"orders and their jobs are written in {jobs.backends.outbox}, and relayed from there")
    for queue in QUEUES:
        jobs.purge(queue)
        jobs.dead.purge([entry.id for entry in jobs.dead.list(queue=queue, limit=100_000)])
    database.create_tables(database.home(jobs.backends))


def a_day(places: Places, workers: Crew, payments: str, limit: int | None) -> list[str]:
    """Returns what is wrong with the books at half-time and in the end."""
    step("Orders come in: each is written in one transaction with its jobs, and the workers do them")
    began = time.monotonic()
    imports = [import_orders.enqueue(str(LOG), limit), import_orders.enqueue(str(BROKEN))]
    until_quiet(imports, places, workers)
    seconds = time.monotonic() - began

    lines = sum(len(log.read_bytes().splitlines()[:most]) for log, most in ((LOG, limit), (BROKEN, None)))
    engine = database.engine(database.home(jobs.backends))
    books = read_books(engine, places)
    done = len(imports) + len(books.mails) + len(books.invoices) + len(books.payments)
    say(f"{done:,} jobs in {seconds:.1f} s: {done / seconds:,.0f} a second")
    show_odd(books)

    step("Some payments are dead letters")
    dead = jobs.dead.list(queue="payments", limit=len(books.orders))
    show_dead(dead)
    wrong = books.differences(lines=lines, unpaid={order_of(jobs.dead.show(entry.id)) for entry in dead})

    step("The payment service is mended, and they are replayed")
    mend(payments)
    jobs.dead.replay([entry.id for entry in dead])
    until_quiet([], places, workers)

    step("What the workers did in all")
    show_work(reports(done + len(dead)))

    step("The books")
    books = read_books(engine, places)
    show_books(books)
    return [*wrong, *books.differences(lines=lines), *(f"{entry} is still dead" for entry in jobs.dead.list())]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__)
    parser.add_argument("--orders", type=int, help="take only so many lines of the log (default: all 6,919)")
    parser.add_argument("--processes", type=int, default=2, help="worker processes (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=16, help="jobs at once in each (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
