"""The audit: what each place says happened, counted there, and whether it all adds up."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from pathlib import Path

import attrs
from sqlalchemy import Engine, select

from examples.orders.database import orders, rejected_rows
from examples.orders.order_log import RejectedRow
from examples.orders.services.mail_server import message_ids
from examples.orders.services.payment_service import Payment, read_payments
from jobkit.dead_letters import DeadLetter


@attrs.frozen
class Places:
    """Where the traces of the work are, besides the database."""

    folder: Path

    @property
    def mail(self) -> Path:
        """The customers' mailbox."""
        return self.folder / "mailbox.mbox"

    @property
    def invoices(self) -> Path:
        """A folder of PDFs."""
        return self.folder / "invoices"

    @property
    def payments(self) -> Path:
        """The payment service's own log."""
        return self.folder / "payments.jsonl"

    @property
    def log(self) -> Path:
        """What the workers print."""
        return self.folder / "workers.log"

    def make_empty(self) -> None:
        """Nothing of an earlier run stays, and git does not see the folder."""
        mark = self.folder / ".gitignore"
        if self.folder.exists() and not mark.exists():
            raise SystemExit(f"{self.folder.absolute()} was not made by this demo; it would be emptied")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.invoices.mkdir(parents=True)
        mark.write_text("*\n")
        self.mail.touch()
        self.payments.touch()

    def tally(self) -> tuple[int, int, int]:
        """Mails, invoices and payments so far: quick, for the progress bars."""
        mails = self.mail.read_bytes().count(b"\nMessage-ID: ")
        return mails, sum(1 for _ in self.invoices.glob("*.pdf")), self.payments.read_bytes().count(b"\n")


@attrs.frozen(kw_only=True)
class Books:
    """
    What was found.

    Attributes:
        orders: Dollars by order id, from the shop's table.
        remarks: How many orders have one, by remark.
        mails, invoices: Order ids, as often as they were found.
    """

    orders: Mapping[str, Decimal]
    remarks: Mapping[str, int]
    rejected: Sequence[RejectedRow]
    mails: Sequence[str]
    invoices: Sequence[str]
    payments: Sequence[Payment]

    @property
    def to_charge(self) -> set[str]:
        """The orders that cost something."""
        return {order for order, dollars in self.orders.items() if dollars}

    @property
    def repeated_mails(self) -> int:
        """Mails beyond the first per order: each a worker that died after sending."""
        return len(self.mails) - len(set(self.mails))

    def differences(self, *, lines: int, unpaid: Set[str] = frozenset()) -> list[str]:
        """
        What does not add up, in words; nothing if all is well.

        Args:
            lines: How many the logs have.
            unpaid: Orders whose payments are known to be open.
        """
        return list(self._differences(lines, unpaid))

    def _differences(self, lines: int, unpaid: Set[str]) -> Iterator[str]:
        rows = len(self.orders) + len(self.rejected)
        if rows != lines:
            yield f"the logs have {lines} lines, the tables {rows} rows"
        yield from _differ("mails", set(self.mails), set(self.orders))
        yield from _differ("invoices", set(self.invoices), set(self.orders))
        yield from _differ("payments", {payment.key for payment in self.payments}, self.to_charge - unpaid)
        for key, times in Counter(payment.key for payment in self.payments).items():
            if times > 1:
                yield f"{key} was paid {times} times"
        for payment in self.payments:
            if payment.dollars != self.orders.get(payment.key, payment.dollars):
                yield f"{payment.key} cost {self.orders[payment.key]} dollars, and {payment.dollars} were taken"


def read_books(engine: Engine, places: Places) -> Books:
    """Look everywhere."""
    with engine.connect() as connection:
        ordered = connection.execute(select(orders.c.id, orders.c.dollars, orders.c.remark)).all()
        rejected = connection.execute(select(rejected_rows).order_by(rejected_rows.c.log, rejected_rows.c.line)).mappings()
        rows = [RejectedRow(**row) for row in rejected]
    return Books(
        orders={row.id: row.dollars for row in ordered},
        remarks=Counter(row.remark for row in ordered if row.remark),
        rejected=rows,
        mails=[found.strip("<>").partition("@")[0] for found in message_ids(places.mail)],
        invoices=[file.stem for file in places.invoices.glob("*.pdf")],
        payments=read_payments(places.payments),
    )


def order_of(letter: DeadLetter) -> str:
    """The id of the order that a dead job was about."""
    assert letter.envelope is not None
    return str(json.loads(bytes(letter.envelope.args))["order"]["id"])


def _differ(what: str, found: set[str], expected: set[str]) -> Iterator[str]:
    if missing := expected - found:
        yield f"{len(missing)} {what} are missing, such as for {min(missing)}"
    if extra := found - expected:
        yield f"{len(extra)} {what} belong to nothing, such as for {min(extra)}"
