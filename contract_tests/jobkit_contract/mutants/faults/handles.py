"""Faults of handles: closing, sharing between threads, setup and namespaces."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from jobkit.adapter import Change
from jobkit.errors import Closed
from jobkit.memory import MemoryStore, MemoryTransport
from jobkit.transport import Delivery, Depth, Message, Sent
from jobkit.url import Url
from jobkit_contract.mutants.bank import FaultyAdapter, fault


@fault("can be closed once only", "CON-4")
class ClosesOnce(MemoryTransport):
    def close(self) -> None:
        if self._closed:
            raise Closed("this transport is closed already")
        super().close()


@fault("goes on after close", "CON-4")
class GoesOn(MemoryTransport):
    def _check_open(self) -> None:
        pass


@fault("says Closed for half of its calls", "CON-4")
class HalfClosed(MemoryTransport):
    def depth(self, queues: Sequence[str]) -> list[Depth]:
        with self._changed:
            return [self._depth_of(name) for name in queues or sorted(self._queues)]


@fault("has a store that goes on after close", "CON-4")
class StoreGoesOn(MemoryStore):
    def _check_open(self) -> None:
        pass


@fault("waits on after close", "CON-2")
class WaitsOn(MemoryTransport):
    def receive(self, queues: Sequence[str], *, wait: float, stop: threading.Event, **rest: Any) -> list[Delivery]:
        found = super().receive(queues, wait=0.0, stop=stop, **rest)
        left = wait
        while not found and left > 0 and not stop.wait(min(0.05, left)):
            left -= 0.05
            if not self._closed:
                found = super().receive(queues, wait=0.0, stop=stop, **rest)
        return found


@fault("lets one thread in at a time", "CON-2")
class OneAtATime(MemoryTransport):
    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._door = threading.Lock()

    def receive(self, queues: Sequence[str], **rest: Any) -> list[Delivery]:
        with self._door:
            return super().receive(queues, **rest)

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        with self._door:
            return super().send(messages)


@fault("reports a change at every setup", "CAP-3")
class AlwaysChanges(FaultyAdapter):
    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        return [Change("made the tables")]


@fault("empties the namespace at setup", "CAP-3")
class SetupEmpties(FaultyAdapter):
    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        self.teardown(url)
        return []


@fault("leaves messages at teardown", "CAP-3")
class LeavesMessages(FaultyAdapter):
    def teardown(self, url: Url) -> None:
        pass


@fault("cuts namespaces off", "DLV-7")
class CutsNamespaces(FaultyAdapter):
    def transport(self, url: Url) -> MemoryTransport:
        return super().transport(url.with_params(namespace=url.params["namespace"][:39]))


@fault("takes any namespace", "DLV-7")
class TakesAnyNamespace(FaultyAdapter):
    def transport(self, url: Url) -> MemoryTransport:
        return super().transport(url.with_params(namespace=url.params["namespace"].strip().lower() or "jobkit"))
