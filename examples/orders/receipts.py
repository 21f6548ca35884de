"""The receipt: a mail per order, through a real SMTP conversation."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage

from examples.orders.app import jobs
from examples.orders.order_log import Order
from examples.orders.outside import outside

TEXT = """\
Thank you for your order {id} of {day}: {discs} CDs for {dollars} dollars.
The invoice follows by post.
"""


@jobs.handler(queue="mail", timeout="30s")
def send_receipt(order: Order) -> None:
    """
    Mail knows no transaction: a worker that dies between the server's answer and the end of its job sends it twice.

    The Message-ID is the same then, which is how the customer's mail program tells.
    """
    with outside().mail.borrow() as connection:
        connection.send_message(compose(order))


def compose(order: Order) -> EmailMessage:
    """The same order always gives the same mail."""
    message = EmailMessage()
    message["From"] = "Shop <orders@shop.example>"
    message["To"] = f"customer-{order.customer}@customers.example"
    message["Subject"] = f"Your order {order.id}"
    message["Date"] = datetime(order.day.year, order.day.month, order.day.day, 12, tzinfo=UTC)
    message["Message-ID"] = f"<{order.id}@shop.example>"
    message.set_content(TEXT.format(id=order.id, day=order.day, discs=order.discs, dollars=order.dollars))
    return message
