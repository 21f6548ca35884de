"""The checks of every clause, by subject. Importing this fills `jobkit_contract.registry.CONTRACT`."""

from jobkit_contract.clauses import (
    batches,
    capabilities,
    connection,
    counts,
    delays,
    delivery,
    leases,
    names,
    scans,
    send,
    settlement,
    transactions,
    writes,
)

__all__ = [
    "batches",
    "capabilities",
    "connection",
    "counts",
    "delays",
    "delivery",
    "leases",
    "names",
    "scans",
    "send",
    "settlement",
    "transactions",
    "writes",
]
