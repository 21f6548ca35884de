"""The order log: what is an order, what is odd, and what is rejected for which reason."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from examples.orders.order_log import Order, RejectedRow, read_log

DATA = Path(__file__).parent.parent / "data"


def test_every_row_of_the_real_log_is_an_order_of_its_own() -> None:
    rows = list(read_log(DATA / "CDNOW_sample.txt"))
    assert len(rows) == 6919
    assert all(isinstance(row, Order) for row in rows)
    assert len({row.id for row in rows if isinstance(row, Order)}) == 6919


def test_the_first_row_is_read_right() -> None:
    first = next(read_log(DATA / "CDNOW_sample.txt"))
    assert first == Order(
        id="CDNOW_sample-00001",
        log="CDNOW_sample",
        line=1,
        customer="0001",
        day=date(1997, 1, 1),
        discs=2,
        dollars=Decimal("29.33"),
    )


def test_what_is_odd_is_remarked() -> None:
    rows = read_log(DATA / "CDNOW_sample.txt")
    remarks = Counter(row.remark.partition(":")[0] for row in rows if isinstance(row, Order))
    assert remarks == {"": 6669, "same customer, same day": 219, "large": 23, "free": 8}


def test_each_broken_row_has_its_line_its_text_and_a_reason() -> None:
    rejected = [row for row in read_log(DATA / "broken_rows.txt") if isinstance(row, RejectedRow)]
    assert {row.line: row.reason for row in rejected} == {
        2: "date '19970230' is no day as YYYYMMDD",
        3: "5 columns expected, found 4",
        4: "number of CDs 'one' is not a number",
        5: "'-12.00' is no sum in dollars and cents",
        6: "an order of no CDs",
        7: "5 columns expected, found 0",
        8: "'NaN' is no sum in dollars and cents",
        9: "'14.999' is no sum in dollars and cents",
        10: "5 columns expected, found 6",
        11: "date '12/03/97' is no day as YYYYMMDD",
        12: r"customer '90\xe9' is not a number",
        14: "5 columns expected, found 3",
    }
    assert rejected[0].text == " 00004 9001 19970230  2   29.73"


def test_sound_rows_among_broken_ones_are_orders() -> None:
    rows = read_log(DATA / "broken_rows.txt")
    assert [row.id for row in rows if isinstance(row, Order)] == ["broken_rows-00001", "broken_rows-00013"]


@pytest.mark.parametrize("text", ["1997030", "199703011", "1997-3-1", "19971301", "１９９７０３０１"])
def test_a_day_that_is_none_is_rejected(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"00004 0001 {text} 2 29.33\n", encoding="utf-8")
    [row] = read_log(log)
    assert isinstance(row, RejectedRow)
    assert row.reason.endswith("is no day as YYYYMMDD")
