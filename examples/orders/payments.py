"""The payment: a call to a service over HTTP that is slow, fails at times, and refuses some orders for good."""

from __future__ import annotations

import json
from http.client import HTTPException

from examples.orders.app import jobs
from examples.orders.order_log import Order
from examples.orders.outside import outside
from jobkit import Dead, RetryPolicy


class PaymentFailed(Exception):
    """It was not made, and may work out later."""


@jobs.handler(queue="payments", timeout="10s", retry=RetryPolicy(max_attempts=5, delays=[0.2, 0.5, 1, 2]))
def charge(order: Order) -> str:
    """
    Take the order's money once, however often this runs: the service knows a payment by its key. Returns its number.

    A refusal is final until somebody has looked at it, so it becomes a dead letter at once; anything else is retried.
    """
    status, answer = _post(f"/payments/{order.id}", {"customer": order.customer, "dollars": str(order.dollars)})
    if status == 402:
        raise Dead(f"payment refused: {answer}")
    if status not in (200, 201):
        raise PaymentFailed(f"{status}: {answer}")
    return answer


def _post(path: str, body: dict[str, str]) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", "Idempotency-Key": path}
    try:
        with outside().payments.borrow() as connection:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
    except TimeoutError as error:
        raise PaymentFailed("no answer in time") from error
    except (HTTPException, OSError) as error:
        raise PaymentFailed(f"not reached: {error}") from error
