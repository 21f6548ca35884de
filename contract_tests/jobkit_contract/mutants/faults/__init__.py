"""The faults, by subject. Each is a few lines on top of the reference, and names the clause that must catch it."""

from jobkit_contract.mutants.faults import handles, leases, manifests, receiving, sending, settling, stores, worker

__all__ = ["handles", "leases", "manifests", "receiving", "sending", "settling", "stores", "worker"]
