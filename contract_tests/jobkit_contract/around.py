"""
Transports and stores with something between them and the worker: a lower limit, an outage, a crash, an eye that watches.

Each forwards to a real one, so what is tested stays the adapter that is tested.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import attrs

from jobkit.clock import steady
from jobkit.errors import Unavailable
from jobkit.store import Key, Record, Store, StoreCapabilities, Write, Written
from jobkit.transport import (
    Answer,
    Delivery,
    Depth,
    Message,
    Sent,
    Settled,
    Settlement,
    Transport,
    TransportCapabilities,
)


def _nothing() -> None:
    pass


class AroundTransport:
    """
    Forwards everything to *inner*.

    Args:
        before: Called first by each call but `close`; what it raises is what the call raises.
    """

    def __init__(self, inner: Transport, before: Callable[[], None] = _nothing) -> None:
        self.inner = inner
        self.before = before

    @property
    def capabilities(self) -> TransportCapabilities:
        return self.inner.capabilities

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        self.before()
        return self.inner.send(messages)

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        self.before()
        return self.inner.receive(queues, limit=limit, wait=wait, lease=lease, stop=stop)

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        self.before()
        return self.inner.settle(settlements)

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        self.before()
        return self.inner.extend(deliveries, lease=lease)

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        self.before()
        return self.inner.depth(queues)

    def purge(self, queue: str) -> int | None:
        self.before()
        return self.inner.purge(queue)

    def close(self) -> None:
        self.inner.close()


class AroundStore:
    """
    Forwards everything to *inner*.

    Args:
        before: As in `AroundTransport`.
    """

    def __init__(self, inner: Store, before: Callable[[], None] = _nothing) -> None:
        self.inner = inner
        self.before = before

    @property
    def capabilities(self) -> StoreCapabilities:
        return self.inner.capabilities

    def get(self, keys: Sequence[Key]) -> list[Record | None]:
        self.before()
        return self.inner.get(keys)

    def put(self, writes: Sequence[Write]) -> list[Written]:
        self.before()
        return self.inner.put(writes)

    def scan(self, collection: str, *, after: str = "", limit: int, reverse: bool = False) -> list[tuple[str, Record]]:
        self.before()
        return self.inner.scan(collection, after=after, limit=limit, reverse=reverse)

    def count(self, collection: str, *, limit: int) -> int:
        self.before()
        return self.inner.count(collection, limit=limit)

    def now(self) -> datetime:
        self.before()
        return self.inner.now()

    def close(self) -> None:
        self.inner.close()


class Switch:
    """Something that is away while it is off."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._off = threading.Event()
        self.refused = 0

    def off(self) -> None:
        self._off.set()

    def on(self) -> None:
        self._off.clear()

    def check(self) -> None:
        if self._off.is_set():
            self.refused += 1
            raise Unavailable(f"{self._what} is away")


class Greedy(AroundTransport):
    """Hands out up to *ahead* messages whatever was asked for, so that a worker holds jobs that it has not started."""

    def __init__(self, inner: Transport, ahead: int) -> None:
        super().__init__(inner)
        self._ahead = ahead

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        return super().receive(queues, limit=max(limit, self._ahead), wait=wait, lease=lease, stop=stop)


class Unsettling(AroundTransport):
    """Calls *before_settling* for settlements alone."""

    def __init__(self, inner: Transport, before_settling: Callable[[], None]) -> None:
        super().__init__(inner)
        self._before_settling = before_settling

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        self._before_settling()
        return super().settle(settlements)


class ShortDelay(AroundTransport):
    """Takes no delay beyond *longest* seconds."""

    def __init__(self, inner: Transport, longest: float) -> None:
        super().__init__(inner)
        self._capabilities = attrs.evolve(inner.capabilities, max_delay=min(longest, inner.capabilities.max_delay))

    @property
    def capabilities(self) -> TransportCapabilities:
        return self._capabilities


class ShortLease(AroundTransport):
    """Lends nothing for longer than *longest* seconds, extensions included, as a broker with such a limit would."""

    def __init__(self, inner: Transport, longest: float) -> None:
        super().__init__(inner)
        self._longest = longest
        self._capabilities = attrs.evolve(inner.capabilities, max_lease=longest)
        self._ends: dict[int, float] = {}

    @property
    def capabilities(self) -> TransportCapabilities:
        return self._capabilities

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        found = super().receive(queues, limit=limit, wait=wait, lease=min(lease, self._longest), stop=stop)
        now = steady()
        self._ends.update((id(delivery), now + self._longest) for delivery in found)
        return found

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        return [self._extend_one(delivery, lease) for delivery in deliveries]

    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        rest = self._ends[id(delivery)] - steady()
        if rest <= 0:
            return Settled(Answer.LOST)
        return super().extend([delivery], lease=min(lease, rest))[0]


class Later(AroundStore):
    """The same store on a later day: its clock is ahead by *days*."""

    def __init__(self, inner: Store, days: float) -> None:
        super().__init__(inner)
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


class WatchedStore(AroundStore):
    """
    Shows each write to *seen* first; what that raises is what `put` raises, and nothing is written.
    """

    def __init__(self, inner: Store, seen: Callable[[Write], None]) -> None:
        super().__init__(inner)
        self._seen = seen

    def put(self, writes: Sequence[Write]) -> list[Written]:
        for write in writes:
            self._seen(write)
        return super().put(writes)


class WatchedTransport(AroundTransport):
    """Shows each sent message to *seen* first."""

    def __init__(self, inner: Transport, seen: Callable[[Message], None]) -> None:
        super().__init__(inner)
        self._seen = seen

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        for message in messages:
            self._seen(message)
        return super().send(messages)
