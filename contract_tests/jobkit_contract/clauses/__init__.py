"""The checks of every clause, by subject. Importing this fills `jobkit_contract.registry.CONTRACT`."""

from jobkit_contract.clauses import batches, send

__all__ = ["batches", "send"]
