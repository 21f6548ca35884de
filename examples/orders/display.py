"""What the demo shows: bars while it works, tables when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.orders.books import Books
from jobkit.heartbeats import TypeCounts, WorkerReport
from jobkit.records import DeadEntry

console = Console(highlight=False)
say = console.print


def step(text: str) -> None:
    """A line that says what comes next."""
    say(f"\n[bold]{text}[/bold]")


def bars() -> Progress:
    """Bars with a name, a count and the time."""
    columns = (BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(TextColumn("{task.description:<9}"), *columns, console=console)


def show_odd(books: Books) -> None:
    """What was remarkable about the log's rows."""
    table = _table("orders", "with a remark")
    for remark, count in Counter(books.remarks).most_common():
        table.add_row(str(count), remark)
    say(table)
    table = _table("line", "is no order")
    for row in books.rejected:
        table.add_row(str(row.line), f"of {row.log}: {escape(row.reason)}")
    say(table)


def show_dead(letters: Sequence[DeadEntry]) -> None:
    """Dead letters by job type and reason."""
    table = _table("dead", "job", "attempts", "reason")
    for (type_, message), count in Counter((letter.type, letter.message) for letter in letters).most_common():
        attempts = max(letter.attempts for letter in letters if letter.message == message)
        table.add_row(str(count), type_, f"up to {attempts}", escape(message))
    say(table)


def show_work(reports: Sequence[WorkerReport]) -> None:
    """What the workers say that they did, by job type."""
    table = _table("done", "job", "retried", "dead", "mean", "longest")
    for type_ in sorted({type_ for report in reports for type_ in report.types}):
        counts = [report.types[type_] for report in reports if type_ in report.types]
        done, retried, dead = (sum(getattr(count, name) for count in counts) for name in ("done", "retried", "dead"))
        table.add_row(f"{done:,}", type_, str(retried), str(dead), *_durations(counts))
    say(table)


def show_books(books: Books) -> None:
    """Every place with its own count."""
    table = _table("counted", "where")
    table.add_row(f"{len(books.orders):,}", f"orders in the shop's table, {sum(books.orders.values()):,} dollars")
    table.add_row(f"{len(books.mails):,}", f"receipts in the customers' mailbox, {books.repeated_mails} of them repeated")
    table.add_row(f"{len(books.invoices):,}", "invoices in their folder")
    taken = sum(payment.dollars for payment in books.payments)
    table.add_row(f"{len(books.payments):,}", f"payments in the payment service's log, {taken:,} dollars")
    table.add_row(f"{len(books.orders) - len(books.to_charge):,}", "orders that cost nothing")
    say(table)


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="dim")
    table.columns[0].justify, table.columns[0].min_width = "right", 8
    return table


def _durations(counts: Sequence[TypeCounts]) -> tuple[str, str]:
    runs, seconds = sum(count.ran for count in counts), sum(count.seconds for count in counts)
    return f"{1000 * seconds / max(runs, 1):.1f} ms", f"{1000 * max(count.longest for count in counts):.0f} ms"
