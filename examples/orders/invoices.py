"""The invoice: a PDF per order."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime

from fpdf import FPDF

from examples.orders.app import jobs
from examples.orders.order_log import Order
from examples.orders.outside import outside


@jobs.handler(queue="invoices", timeout="30s")
def make_invoice(order: Order) -> str:
    """
    Write it to a file named after the order, so that doing it again changes nothing; returns the file's name.

    It takes half a millisecond, so it runs in a worker's thread; for seconds of work ``isolated=True`` would be right.
    """
    file = outside().invoices / f"{order.id}.pdf"
    # First aside, then into its place in one step: nobody ever finds half an invoice there.
    draft = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    draft.write_bytes(draw(order))
    draft.replace(file)
    return file.name


def draw(order: Order) -> bytes:
    """The same order always gives the same bytes."""
    pdf = FPDF()
    pdf.set_creation_date(datetime(order.day.year, order.day.month, order.day.day, tzinfo=UTC))
    pdf.add_page()
    pdf.set_font("Helvetica", size=20)
    pdf.cell(0, 20, "Invoice", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=12)
    for line in (
        f"Order {order.id} of {order.day}",
        f"Customer {order.customer}",
        f"{order.discs} CDs: {order.dollars} dollars",
    ):
        pdf.cell(0, 8, line, new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())
