"""Faults of manifests: denying what works, and claiming what does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.memory import MemoryTransport
from jobkit.store import Write
from jobkit.transactional import Statement
from jobkit.transport import Depth, Message, Settlement
from jobkit_contract.mutants.bank import fault
from jobkit_contract.mutants.faults.sending import Copies


class Declares(MemoryTransport):
    """Says other things of itself than hold."""

    says: dict[str, Any] = {}  # noqa: RUF012  (each fault has its own)

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.capabilities = attrs.evolve(self.capabilities, **self.says)


@fault("denies that it knows ages", "CAP-2")
class DeniesAge(Declares):
    says = {"knows_age": False}  # noqa: RUF012


@fault("denies that it delivers once", "CAP-2")
class DeniesSingleDelivery(Declares):
    says = {"single_delivery": False}  # noqa: RUF012


@fault("denies its transactions", "CAP-2")
class DeniesTransactions(MemoryTransport):
    def statements(
        self, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
    ) -> list[Statement]:
        return []


@fault("denies its delays", "CAP-2")
class DeniesDelays(Declares):
    says = {"max_delay": 0.0}  # noqa: RUF012

    def send(self, messages: Sequence[Message]) -> Any:
        ours, self.capabilities = self.capabilities, attrs.evolve(self.capabilities, max_delay=60.0)
        try:
            return super().send(messages)
        finally:
            self.capabilities = ours


@fault("claims exact counts", "OPS-1")
class ClaimsExact(MemoryTransport):
    def _depth_of(self, name: str) -> Depth:
        depth = super()._depth_of(name)
        return attrs.evolve(depth, ready=(depth.ready or 0) // 10 * 10)


@fault("claims transactions", "SND-6")
class ClaimsTransactions(Declares):
    says = {"transactional": True}  # noqa: RUF012

    def statements(self, *parts: Any) -> list[Statement]:
        return []


@fault("claims that others share it", "LSE-1")
class ClaimsShared(Declares):
    says = {"shared": True}  # noqa: RUF012


@fault("claims single delivery and makes copies", "DLV-5")
class ClaimsSingleDelivery(Copies):
    pass


@fault("declares less than the core can work with", "CAP-1")
class TooSmall(Declares):
    says = {"max_body": 64 * 1024}  # noqa: RUF012


@fault("changes its figures", "CAP-1")
class Changes(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> Any:
        self.capabilities = attrs.evolve(self.capabilities, max_body=self.capabilities.max_body - 1)
        return super().send(messages)
