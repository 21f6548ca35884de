"""The audit finds whatever does not add up."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from examples.orders.books import Books, Places
from examples.orders.order_log import RejectedRow
from examples.orders.services.payment_service import Payment

GOOD = Books(
    orders={"a": Decimal("10.00"), "b": Decimal("0.00"), "c": Decimal("5.00")},
    remarks={"free": 1},
    rejected=[RejectedRow(log="log", line=line, text="", reason="empty") for line in (4, 5)],
    mails=["a", "b", "c", "a"],
    invoices=["c", "b", "a"],
    payments=[Payment("a", "1", Decimal("10.00")), Payment("c", "2", Decimal("5.00"))],
)


def test_books_that_balance_have_no_differences() -> None:
    assert GOOD.differences(lines=5) == []
    assert GOOD.repeated_mails == 1


def test_a_payment_that_is_known_to_be_open_is_no_difference() -> None:
    books = attrs.evolve(GOOD, payments=GOOD.payments[:1])
    assert books.differences(lines=5, unpaid={"c"}) == []
    assert books.differences(lines=5) == ["1 payments are missing, such as for c"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"rejected": []}, "the logs have 5 lines, the tables 3 rows"),
        ({"mails": ["a", "c"]}, "1 mails are missing, such as for b"),
        ({"mails": ["a", "b", "c", "d"]}, "1 mails belong to nothing, such as for d"),
        ({"invoices": []}, "3 invoices are missing, such as for a"),
        ({"payments": [*GOOD.payments, GOOD.payments[0]]}, "a was paid 2 times"),
        ({"payments": [*GOOD.payments, Payment("b", "1", Decimal(0))]}, "1 payments belong to nothing, such as for b"),
        (
            {"payments": [GOOD.payments[0], Payment("c", "2", Decimal("5.01"))]},
            "c cost 5.00 dollars, and 5.01 were taken",
        ),
    ],
)
def test_what_does_not_add_up_is_named(wrong: dict[str, Any], expected: str) -> None:
    assert attrs.evolve(GOOD, **wrong).differences(lines=5) == [expected]


def test_a_folder_that_the_demo_did_not_make_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(SystemExit, match="was not made by this demo"):
        Places(tmp_path).make_empty()
    assert (tmp_path / "precious").exists()
