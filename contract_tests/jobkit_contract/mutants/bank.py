"""The bank: what a fault is, how it joins, and the adapter that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.memory import Broker, MemoryAdapter, MemoryStore, MemoryTransport, Options, Table
from jobkit.url import Url
from jobkit_contract.clause import Plane
from jobkit_contract.harness import Harness

K = TypeVar("K", bound=type)


class FaultyAdapter(MemoryAdapter):
    """The reference adapter with other parts put in."""

    def __init__(
        self,
        transport: type[MemoryTransport] = MemoryTransport,
        store: type[MemoryStore] = MemoryStore,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock)
        self._transport, self._store = transport, store

    def transport(self, url: Url) -> MemoryTransport:
        options = url.options(Options)
        with self._lock:
            broker = self._brokers.setdefault(options.namespace, Broker())
        return self._transport(broker, options, self._clock)

    def store(self, url: Url) -> MemoryStore:
        options = url.options(Options)
        with self._lock:
            table = self._tables.setdefault(options.namespace, Table())
        return self._store(table, options, self._clock)


@attrs.frozen(kw_only=True)
class Fault:
    """
    Attributes:
        name: What is wrong, in words.
        clause: The clause that must catch it.
        plane: The line that the fault is in.
        make: A new adapter that has it.
    """

    name: str
    clause: str
    plane: Plane
    make: Callable[[], MemoryAdapter]

    @property
    def slug(self) -> str:
        return "".join(char if char.isalnum() else "_" for char in self.name)


REFERENCE = Fault(name="the reference", clause="", plane=Plane.TRANSPORT, make=FaultyAdapter)
BANK: dict[str, Fault] = {REFERENCE.slug: REFERENCE}
"""By slug, the reference among them: what catches that one is broken itself."""

_adapters: dict[str, MemoryAdapter] = {}


def fault(
    name: str, clause: str, *, plane: Plane | None = None, clock: Callable[[], Clock] = lambda: SYSTEM_CLOCK
) -> Callable[[K], K]:
    """
    Put the decorated class, a transport, store or adapter with one defect, into the bank.

    Args:
        plane: Whose clauses are tried on it, if not those of the line that it implements.
    """

    def join(kind: K) -> K:
        line = Plane.STORE if issubclass(kind, MemoryStore) else Plane.TRANSPORT
        entry = Fault(name=name, clause=clause, plane=plane or line, make=lambda: _adapter(kind, clock()))
        if entry.slug in BANK:
            raise ValueError(f"the fault {name!r} stands twice")
        BANK[entry.slug] = entry
        return kind

    return join


def _adapter(kind: type, clock: Clock) -> MemoryAdapter:
    if issubclass(kind, MemoryTransport):
        return FaultyAdapter(transport=kind, clock=clock)
    if issubclass(kind, MemoryStore):
        return FaultyAdapter(store=kind, clock=clock)
    assert issubclass(kind, MemoryAdapter)
    return kind()


def load_bank() -> dict[str, Fault]:
    """The bank with all its faults."""
    import jobkit_contract.mutants.faults  # noqa: F401  (imported for its decorators, which need this module first)

    return BANK


def harness_for(entry: Fault) -> Harness:
    """A harness on the adapter with this fault, which child processes can open too."""
    return Harness.of("memory://", adapter=f"{__name__}:{entry.slug}")


def __getattr__(slug: str) -> MemoryAdapter:
    """The one adapter of each fault in this process, as ``module:attribute`` names it."""
    if slug.startswith("__") or slug not in load_bank():
        raise AttributeError(slug)
    return _adapters.setdefault(slug, BANK[slug].make())
