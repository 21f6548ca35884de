"""
The services outside the shop, as its jobs see them: where they are, and the open connections of one worker process.

The environment names them, so that the same code runs against the real ones.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import attrs

from examples.orders.pool import Pool
from jobkit import current_job

MAIL = "SHOP_MAIL"
PAYMENTS = "SHOP_PAYMENTS"
INVOICES = "SHOP_INVOICES"

PATIENCE = 1.0
"""Seconds that a payment may take before it counts as failed. It is safe to ask again: the key makes it one payment."""


@attrs.frozen
class Outside:
    """
    Attributes:
        invoices: The folder that they are written to.
    """

    mail: Pool[smtplib.SMTP]
    payments: Pool[HTTPConnection]
    invoices: Path


@contextmanager
def outside_services() -> Iterator[Outside]:
    """The app's lifespan: entered once in each worker process, left when it ends. No connection is opened before its use."""
    mail_host, mail_port = _address(MAIL)
    host, port = _address(PAYMENTS)
    outside = Outside(
        mail=Pool(lambda: smtplib.SMTP(mail_host, mail_port, local_hostname="shop.example", timeout=10)),
        payments=Pool(lambda: HTTPConnection(host, port, timeout=PATIENCE)),
        invoices=Path(os.environ[INVOICES]),
    )
    try:
        yield outside
    finally:
        outside.mail.close()
        outside.payments.close()


def outside() -> Outside:
    """What the lifespan yielded in this process."""
    state = current_job().state
    assert isinstance(state, Outside)
    return state


def _address(variable: str) -> tuple[str, int]:
    host, _, port = os.environ[variable].rpartition(":")
    return host, int(port)
