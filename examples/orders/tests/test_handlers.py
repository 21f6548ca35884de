"""The shop's handlers: on memory, against real services, under a clock that the test moves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from examples.orders import database, outside
from examples.orders.app import jobs
from examples.orders.books import Places, read_books
from examples.orders.importing import import_orders
from examples.orders.invoices import make_invoice
from examples.orders.order_log import Order
from examples.orders.payments import charge
from examples.orders.receipts import send_receipt
from examples.orders.services import MAIL_SERVER, PAYMENT_SERVICE, running
from examples.orders.services.payment_service import mend

ROOT = Path(__file__).parents[3]
ORDER = Order(id="log-00007", log="log", line=7, customer="0042", day=date(1997, 1, 18), discs=2, dollars=Decimal("29.73"))
LARGE = Order(id="log-00008", log="log", line=8, customer="0042", day=date(1997, 2, 1), discs=9, dollars=Decimal("250.00"))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Empty ones."""
    places = Places(tmp_path / "demo-data")
    places.make_empty()
    return places


@pytest.fixture
def payments(places: Places, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Running services, named in the environment; the payment service's address."""
    with running(MAIL_SERVER, str(places.mail)) as mail, running(PAYMENT_SERVICE, str(places.payments)) as payments:
        monkeypatch.setenv(outside.MAIL, mail)
        monkeypatch.setenv(outside.PAYMENTS, payments)
        monkeypatch.setenv(outside.INVOICES, str(places.invoices))
        yield payments


def test_an_order_leads_to_a_mail_an_invoice_and_a_payment(places: Places, payments: str) -> None:
    mend(payments)
    with jobs.test() as bench:
        for handler in (send_receipt, make_invoice, charge):
            handler.enqueue(ORDER)
        assert bench.run() == 3
    assert places.tally() == (1, 1, 1)


def test_a_refused_payment_is_a_dead_letter_and_a_replay_takes_it(places: Places, payments: str) -> None:
    with jobs.test() as bench:
        charge.enqueue(LARGE)
        bench.advance("1m")
        [letter] = jobs.dead.list()
        assert "payment refused: over the card's limit" in letter.message
        mend(payments)
        jobs.dead.replay([letter.id])
        bench.run()
        assert jobs.dead.list() == []
    assert places.tally() == (0, 0, 1)


def test_what_runs_twice_is_paid_once_and_has_one_invoice(places: Places, payments: str) -> None:
    mend(payments)
    with jobs.test() as bench:
        for _ in range(2):
            make_invoice.enqueue(ORDER)
            charge.enqueue(ORDER)
        bench.run()
    assert [file.name for file in places.invoices.iterdir()] == ["log-00007.pdf"]
    assert places.tally() == (0, 1, 1)


def test_an_import_goes_on_where_the_last_one_ended(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBKIT_URL", f"sqlite:///{places.folder}/shop.db")
    log = str(ROOT / "examples" / "orders" / "data" / "CDNOW_sample.txt")
    with jobs:
        jobs.setup()
        engine = database.create_tables(jobs.backends.transport)
        for lines, taken_over in ((120, 120), (300, 180), (300, 0)):
            enqueued = import_orders.enqueue(log, lines)
            work_through_imports()
            assert enqueued.wait(timeout=0) == taken_over
        assert {stats.queue: stats.ready for stats in jobs.stats()} == {
            "imports": 0,
            "invoices": 300,
            "mail": 300,
            "payments": 299,
        }
        assert len(read_books(engine, places).orders) == 300
        engine.dispose()


def work_through_imports() -> None:
    """A worker that ends when no import is left to do."""
    command = [sys.executable, "-m", "jobkit", "worker", "examples.orders.app:jobs", "--queue=imports", "--burst"]
    nowhere = dict.fromkeys((outside.MAIL, outside.PAYMENTS, outside.INVOICES), "127.0.0.1:1")
    said = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stderr
