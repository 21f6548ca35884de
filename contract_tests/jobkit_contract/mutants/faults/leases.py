"""Faults of leases: their end, their extension, their counting, and their clocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.clock import SystemClock
from jobkit.memory import YES, MemoryTransport
from jobkit.transport import Answer, Delivery, Settled, Settlement
from jobkit_contract.mutants.bank import fault


@fault("acknowledges at the claim", "LSE-1")
class AcksAtClaim(MemoryTransport):
    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        found = super()._claim(queues, limit, lease)
        for each in found:
            del self._queue(each.message.queue).jobs[each.message.id]
        return found

    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        return YES

    def _settle_one(self, settlement: Settlement) -> Settled:
        self._queue(settlement.delivery.message.queue).jobs.pop(settlement.delivery.message.id, None)
        for message in getattr(settlement, "then", None) or [getattr(settlement, "message", None)]:
            if message is not None:
                self._store(message)
        return YES


@fault("never ends a lease", "LSE-1")
class NeverExpires(MemoryTransport):
    def _lend(self, queue: Any, job: Any, until: float) -> Delivery:
        return super()._lend(queue, job, until + 1e6)


@fault("ends leases early", "LSE-1")
class EndsEarly(MemoryTransport):
    def _lend(self, queue: Any, job: Any, until: float) -> Delivery:
        return super()._lend(queue, job, until - 0.7)


@fault("ignores extend", "LSE-2")
class IgnoresExtend(MemoryTransport):
    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        return YES if self._lent(delivery) else Settled(Answer.LOST)


@fault("extends by adding up", "LSE-2")
class AddsUp(MemoryTransport):
    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        job = self._lent(delivery)
        left = max(0.0, job.lease_until - self._clock.steady()) if job else 0.0
        return super()._extend_one(delivery, lease + left)


@fault("follows the wall clock", "LSE-5", clock=lambda: WallClock())
class FollowsTheWall(MemoryTransport):
    pass


class WallClock(SystemClock):
    def steady(self) -> float:
        return time.time()


@fault("has a clock that freezes with the process", "LSE-4", clock=lambda: FreezingClock())
class Freezes(MemoryTransport):
    pass


class FreezingClock(SystemClock):
    """It counts ticks of its own, none of which come while the process is frozen."""

    def __init__(self) -> None:
        self._now = 0.0
        threading.Thread(target=self._tick, daemon=True).start()

    def steady(self) -> float:
        return self._now

    def _tick(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            self._now += min(now - last, 0.25)
            last = now


@fault("settles by id alone", "LSE-3")
class SettlesById(MemoryTransport):
    def _lent(self, delivery: Delivery) -> Any:
        return self._queue(delivery.message.queue).jobs.get(delivery.message.id)


@fault("takes the worker's name for a token", "STL-3")
class WorkerIsToken(MemoryTransport):
    def _lend(self, queue: Any, job: Any, until: float) -> Delivery:
        loan = super()._lend(queue, job, until)
        job.token = id(self)
        return attrs.evolve(loan, receipt=id(self))


@fault("lets a lapsed loan settle until somebody takes it", "LSE-3")
class LateIsFine(MemoryTransport):
    def _lent(self, delivery: Delivery) -> Any:
        job = self._queue(delivery.message.queue).jobs.get(delivery.message.id)
        return job if job and (job.token == delivery.receipt or job.token is None) else None


@fault("compares tokens when settling, and not when extending", "STL-3")
class ExtendsById(MemoryTransport):
    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        job = self._queue(delivery.message.queue).jobs.get(delivery.message.id)
        return super()._extend_one(attrs.evolve(delivery, receipt=job.token) if job else delivery, lease)


@fault("answers lost and settles all the same", "LSE-3")
class LiesAboutLost(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        answer = super()._settle_one(settlement)
        if answer.answer is Answer.LOST:
            self._queue(settlement.delivery.message.queue).jobs.pop(settlement.delivery.message.id, None)
        return answer


@fault("does not count receives", "LSE-6")
class DoesNotCount(MemoryTransport):
    def _lend(self, queue: Any, job: Any, until: float) -> Delivery:
        return attrs.evolve(super()._lend(queue, job, until), receives=1)


@fault("counts looks as receives", "OPS-1")
class CountsLooks(MemoryTransport):
    def _depth_of(self, name: str) -> Any:
        for job in self._queue(name).jobs.values():
            job.receives += 1
        return super()._depth_of(name)


@fault("counts extensions as receives", "LSE-6")
class CountsExtensions(MemoryTransport):
    def _extend_one(self, delivery: Delivery, lease: float) -> Settled:
        answer = super()._extend_one(delivery, lease)
        if job := self._lent(delivery):
            job.receives += 1
        return answer
