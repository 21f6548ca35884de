"""The shop's app. Its handlers stand in modules of their own; workers import them by name."""

from __future__ import annotations

from examples.orders.outside import outside_services
from jobkit import JobKit

jobs = JobKit(
    default="sqlite:///demo-data/shop.db",  # JOBKIT_URL wins
    modules=[
        "examples.orders.importing",
        "examples.orders.receipts",
        "examples.orders.invoices",
        "examples.orders.payments",
    ],
    lifespan=outside_services,
)
