"""The mail server and the payment service, each spoken to as the jobs do."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from examples.orders.invoices import draw
from examples.orders.order_log import Order
from examples.orders.pool import Pool
from examples.orders.receipts import compose
from examples.orders.services import MAIL_SERVER, PAYMENT_SERVICE, running
from examples.orders.services.mail_server import message_ids
from examples.orders.services.payment_service import Payment, Till, mend, read_payments

ORDER = Order(id="log-00007", log="log", line=7, customer="0042", day=date(1997, 1, 18), discs=2, dollars=Decimal("29.73"))


def test_each_mail_stands_in_the_box_whatever_its_text(tmp_path: Path) -> None:
    box = tmp_path / "box"
    mail = compose(ORDER)
    mail.set_content("From here on it could look like the next mail.\n.\nMessage-ID: <no@shop.example>\n")
    with running(MAIL_SERVER, str(box)) as address, smtplib.SMTP(address, timeout=10) as connection:
        connection.send_message(compose(ORDER))
        connection.send_message(mail)
    assert message_ids(box) == ["<log-00007@shop.example>"] * 2


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    """One where nothing fails by chance."""
    with Till(tmp_path / "log", overloaded=0, hanging=0) as till:
        yield till


def test_a_payment_is_taken_once_however_often_it_is_asked_for(till: Till, tmp_path: Path) -> None:
    request = {"customer": "0042", "dollars": "29.73"}
    assert till.pay("log-00007", request) == (201, "payment 1")
    assert till.pay("log-00007", request) == (200, "payment 1")
    assert read_payments(tmp_path / "log") == [Payment("log-00007", "0042", Decimal("29.73"))]


def test_a_payment_over_the_limit_is_refused_until_the_trouble_is_over(till: Till) -> None:
    request = {"customer": "0042", "dollars": "200.01"}
    assert till.pay("log-00008", request) == (402, "over the card's limit")
    till.mended = True
    assert till.pay("log-00008", request) == (201, "payment 1")


def test_the_service_answers_over_http_and_can_be_mended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(PAYMENT_SERVICE, str(log)) as address:
        mend(address)
        connection = HTTPConnection(address, timeout=10)
        for status in (201, 200):
            connection.request("POST", "/payments/log-00007", '{"customer": "0042", "dollars": "300.00"}')
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, b"payment 1")
        connection.close()
    assert [payment.key for payment in read_payments(log)] == ["log-00007"]


def test_the_same_order_gives_the_same_invoice() -> None:
    assert draw(ORDER) == draw(ORDER)
    assert draw(ORDER).startswith(b"%PDF-")


class Line:
    """A connection that knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_connection_serves_again_unless_it_failed() -> None:
    pool = Pool(Line)
    with pool.borrow() as first, pool.borrow() as second:
        assert first is not second
    with pool.borrow() as again, pytest.raises(TimeoutError), pool.borrow() as other:
        raise TimeoutError
    assert (again, other) == (first, second)
    assert second.closed
    assert not first.closed
    pool.close()
    assert first.closed
