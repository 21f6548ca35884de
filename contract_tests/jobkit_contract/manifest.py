"""What an adapter declares, as the suite asks it: yes-or-no capabilities by name, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from jobkit.store import StoreCapabilities
from jobkit.transport import TransportCapabilities
from jobkit_contract.clause import Plane


@attrs.frozen
class Manifest:
    """
    The capabilities of the transport and the store under test; None where the URL names no such thing.

    They are the shipped adapter's own data: nothing that is said to the suite changes them.
    """

    transport: TransportCapabilities | None
    store: StoreCapabilities | None

    @property
    def planes(self) -> frozenset[Plane]:
        found = {Plane.TRANSPORT} if self.transport else set()
        found |= {Plane.STORE} if self.store else set()
        return frozenset(found | ({Plane.WORKER} if self.transport and self.store else set()))

    def offers(self, name: str) -> bool:
        return CAPABILITIES[name](self)

    def known(self, name: str) -> bool:
        """Whether there is anything here that could declare *name*."""
        return (self.store if name.startswith("store.") else self.transport) is not None

    def as_dict(self) -> dict[str, dict[str, object]]:
        parts = {"transport": self.transport, "store": self.store}
        return {name: attrs.asdict(part) for name, part in parts.items() if part}


def _transport(test: Callable[[TransportCapabilities], bool]) -> Callable[[Manifest], bool]:
    return lambda manifest: manifest.transport is not None and test(manifest.transport)


def _store(test: Callable[[StoreCapabilities], bool]) -> Callable[[Manifest], bool]:
    return lambda manifest: manifest.store is not None and test(manifest.store)


CAPABILITIES: Mapping[str, Callable[[Manifest], bool]] = {
    "durable": _transport(lambda it: it.durable),
    "shared": _transport(lambda it: it.shared),
    "atomic_again": _transport(lambda it: it.atomic_again),
    "atomic_successors": _transport(lambda it: it.atomic_successors),
    "single_delivery": _transport(lambda it: it.single_delivery),
    "broker_fence": _transport(lambda it: it.fence == "broker"),
    "transactional": _transport(lambda it: it.transactional),
    "exact_counts": _transport(lambda it: it.exact_counts),
    "knows_age": _transport(lambda it: it.knows_age),
    "native_delay": _transport(lambda it: it.max_delay > 0),
    "store.durable": _store(lambda it: it.durable),
    "store.shared": _store(lambda it: it.shared),
    "store.transactional": _store(lambda it: it.transactional),
}
"""By name, as checks say it in *needs*. ``native_delay`` and ``broker_fence`` are read off a number and a word."""
