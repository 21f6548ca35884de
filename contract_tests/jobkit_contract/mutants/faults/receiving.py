"""Faults of receiving: waking, waiting, order, and lending twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.memory import MemoryTransport
from jobkit.transport import Delivery, Message, Sent
from jobkit_contract.mutants.bank import fault


@fault("sleeps through sends of others", "DLV-4")
class Sleeps(MemoryTransport):
    """It trusts its own signal, and polls for nothing else."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._signal = threading.Event()

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        answers = super().send(messages)
        self._signal.set()
        return answers

    def receive(self, queues: Sequence[str], *, wait: float, stop: threading.Event, **rest: Any) -> list[Delivery]:
        found = super().receive(queues, wait=0.0, stop=stop, **rest)
        end = time.monotonic() + wait
        while not found and time.monotonic() < end and not stop.is_set() and not self._closed:
            if self._signal.wait(min(0.1, wait)) or time.monotonic() >= end:
                self._signal.clear()
                found = super().receive(queues, wait=0.0, stop=stop, **rest)
        return found


@fault("sleeps through the end of a delay", "DLV-4")
class SleepsThroughDelays(MemoryTransport):
    def receive(self, queues: Sequence[str], *, wait: float, stop: threading.Event, **rest: Any) -> list[Delivery]:
        found = super().receive(queues, wait=0.0, stop=stop, **rest)
        end = time.monotonic() + wait
        with self._changed:
            while not found and time.monotonic() < end and not stop.is_set() and not self._closed:
                if self._changed.wait(min(0.1, wait)) or time.monotonic() >= end:
                    found = self._claim(queues, rest["limit"], rest["lease"])
        return found


@fault("lends 1 in 300 twice", "DLV-1")
class LendsTwice(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        found = super()._claim(queues, limit, lease)
        return (
            found + [each for each in found if int(each.message.body or b"1") == 300]
            if limit > 1 and _plain(found)
            else found
        )


def _plain(found: list[Delivery]) -> bool:
    return all(each.message.body.isdigit() for each in found)


@fault("claims without a lock", "DLV-5")
class ClaimsUnlocked(MemoryTransport):
    """It looks first, and lends afterwards whatever it saw."""

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        now = self._clock.steady()
        seen: list[Any] = []
        for queue in map(self._queue, queues):
            queue.promote(now)
            while len(seen) < limit and (job := queue.take()):
                seen.append((queue, job))
        for queue, job in seen:
            queue.put(job, now)
        self._changed.wait(0.002)
        return [self._lend(queue, job, self._clock.steady() + lease) for queue, job in seen]


@fault("comes back early from an empty queue", "DLV-6")
class ComesBackEarly(MemoryTransport):
    def receive(self, queues: Sequence[str], *, wait: float, **rest: Any) -> list[Delivery]:
        return super().receive(queues, wait=wait * 0.6, **rest)


@fault("does not hear stop", "DLV-6")
class Deaf(MemoryTransport):
    def receive(self, queues: Sequence[str], *, stop: threading.Event, **rest: Any) -> list[Delivery]:
        return super().receive(queues, stop=threading.Event(), **rest)


@fault("waits for a full batch", "DLV-6")
class WaitsForMore(MemoryTransport):
    def receive(self, queues: Sequence[str], *, limit: int, wait: float, **rest: Any) -> list[Delivery]:
        begun = time.monotonic()
        found = super().receive(queues, limit=limit, wait=wait, **rest)
        while found and len(found) < limit and (left := begun + wait - time.monotonic()) > 0:
            more = super().receive(queues, limit=limit - len(found), wait=left, **rest)
            if not more:
                break
            found += more
        return found


@fault("mixes the queues of a receive", "DLV-6")
class IgnoresOrderOfQueues(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        return super()._claim(sorted(queues), limit, lease)


@fault("exceeds the limit", "SND-7")
class ExceedsLimit(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        return super()._claim(queues, max(limit, 10), lease)


@fault("serves the newest first", "ORD-2")
class Stack(MemoryTransport):
    def _store(self, message: Message) -> None:
        super()._store(message)
        queue = self._queue(message.queue)
        job = queue.jobs[message.id]
        job.sequence = -abs(job.sequence)
        queue.ready = [(each.sequence, each) for each in queue.jobs.values() if each.token is None and each.due <= job.due]
        queue.ready.sort()


@fault("lets a delayed message block the head", "DLY-3")
class DelayBlocks(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        now = self._clock.steady()
        free = [name for name in queues if not any(job.due > now for job in self._queue(name).jobs.values())]
        return super()._claim(free, limit, lease)


@fault("holds delayed messages by a lease", "DLY-3")
class DelayIsLease(MemoryTransport):
    def _store(self, message: Message) -> None:
        super()._store(message)
        if message.delay:
            self._queue(message.queue).jobs[message.id].receives += 1


@fault("keeps more than it declares", "CAP-1")
class Greedy(MemoryTransport):
    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._kept: list[Delivery] = []

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        self._kept += super()._claim(queues, max(limit, 8), lease)
        given, self._kept = self._kept[:limit], self._kept[limit:]
        return given


@fault("tells another id", "DLV-2")
class TellsAnotherId(MemoryTransport):
    def receive(self, queues: Sequence[str], **rest: Any) -> list[Delivery]:
        found = super().receive(queues, **rest)
        return [attrs.evolve(each, message=attrs.evolve(each.message, queue=queues[0])) for each in found]
