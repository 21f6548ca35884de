"""The order log: every row becomes an order or a rejected row with its reason, so that none is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import attrs

# Above this, somebody should have a look: the usual order is 35 dollars.
LARGE = Decimal(250)


@attrs.frozen(kw_only=True)
class Order:
    """
    What a customer bought at once. It never changes, so jobs carry it whole and need no database to work on it.

    Attributes:
        id: Log and line number: the same row always is the same order, and two orders of one day are two.
        remark: What is odd about it; empty for most.
    """

    id: str
    log: str
    line: int
    customer: str
    day: date
    discs: int
    dollars: Decimal
    remark: str = ""


@attrs.frozen(kw_only=True)
class RejectedRow:
    """A row that is no order. *text* is what stood there, with undecodable bytes written out."""

    log: str
    line: int
    text: str
    reason: str


Row = Order | RejectedRow


def read_log(path: Path) -> Iterator[Row]:
    """One value per line of the file, in order."""
    before: Order | None = None
    with path.open(encoding="ascii", errors="backslashreplace") as file:
        for line, text in enumerate(file, start=1):
            try:
                order = _parse(path.stem, line, text)
            except ValueError as error:
                yield RejectedRow(log=path.stem, line=line, text=text.rstrip("\n"), reason=str(error))
                continue
            yield attrs.evolve(order, remark=_remark(order, before))
            before = order


def _parse(log: str, line: int, text: str) -> Order:
    columns = text.split()
    if len(columns) != 5:
        raise ValueError(f"5 columns expected, found {len(columns)}")
    _, customer, day, discs, dollars = columns
    return Order(
        id=f"{log}-{line:05d}",
        log=log,
        line=line,
        customer=_digits("customer", customer),
        day=_day(day),
        discs=_discs(discs),
        dollars=_dollars(dollars),
    )


def _digits(column: str, text: str) -> str:
    if not text.isdecimal():
        raise ValueError(f"{column} '{text}' is not a number")
    return text


def _day(text: str) -> date:
    try:
        if len(text) == 8:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"date '{text}' is no day as YYYYMMDD")


def _discs(text: str) -> int:
    count = int(_digits("number of CDs", text))
    if count == 0:
        raise ValueError("an order of no CDs")
    return count


def _dollars(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,7}\.\d\d", text):
        raise ValueError(f"'{text}' is no sum in dollars and cents")
    return Decimal(text)


def _remark(order: Order, before: Order | None) -> str:
    """The log is sorted by customer and day, so the order *before* is all that is needed to tell a second one."""
    if order.dollars == 0:
        return "free: receipt and invoice, nothing to charge"
    if order.dollars > LARGE:
        return f"large: more than {LARGE} dollars"
    if before is not None and (before.customer, before.day) == (order.customer, order.day):
        return "same customer, same day: an order of its own"
    return ""
