"""Faults of settling, purging and counting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from jobkit.memory import YES, MemoryTransport
from jobkit.transport import Again, Answer, Delivery, Depth, Done, Settled, Settlement
from jobkit_contract.mutants.bank import fault


@fault("drops at again", "STL-4")
class AgainDrops(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        return super()._settle_one(Done(settlement.delivery) if isinstance(settlement, Again) else settlement)


@fault("copies at again", "STL-4")
class AgainCopies(MemoryTransport):
    """The old message stays on loan beside the new one, and comes back when its lease ends."""

    def _settle_one(self, settlement: Settlement) -> Settled:
        job = self._lent(settlement.delivery)
        answer = super()._settle_one(settlement)
        if isinstance(settlement, Again) and job:
            job.message = attrs.evolve(job.message, id=f"{job.message.id}~")
            queue = self._queue(job.message.queue)
            queue.jobs[job.message.id] = job
            queue.wait_until(job, job.lease_until)
        return answer


@fault("keeps the old body at again", "STL-4")
class AgainKeepsBody(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        if isinstance(settlement, Again):
            old = attrs.evolve(settlement.message, body=settlement.delivery.message.body)
            settlement = Again(settlement.delivery, old)
        return super()._settle_one(settlement)


@fault("keeps the count at again", "LSE-6")
class AgainKeepsCount(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        answer = super()._settle_one(settlement)
        if isinstance(settlement, Again) and answer is YES:
            self._queue(settlement.message.queue).jobs[settlement.message.id].receives = settlement.delivery.receives
        return answer


@fault("ignores the delay of again", "STL-4")
class AgainIgnoresDelay(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        if isinstance(settlement, Again):
            settlement = Again(settlement.delivery, attrs.evolve(settlement.message, delay=0.0))
        return super()._settle_one(settlement)


@fault("lets done jobs come back", "STL-1")
class DoneComesBack(MemoryTransport):
    """Every tenth one: its removal is forgotten, and its lease ends."""

    def _settle_one(self, settlement: Settlement) -> Settled:
        job = self._lent(settlement.delivery)
        answer = super()._settle_one(settlement)
        if job and isinstance(settlement, Done) and next(self._numbers) % 10 == 0:
            self._queue(job.message.queue).jobs[job.message.id] = job
        return answer


@fault("answers yes to a second settlement", "STL-2")
class SecondIsYes(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        delivery = settlement.delivery
        there = delivery.message.id in self._queue(delivery.message.queue).jobs
        return super()._settle_one(settlement) if there else YES


@fault("raises at a second settlement", "STL-2")
class SecondRaises(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        delivery = settlement.delivery
        if delivery.message.id not in self._queue(delivery.message.queue).jobs:
            raise KeyError(delivery.message.id)
        return super()._settle_one(settlement)


@fault("sends successors of a lost job", "STL-5")
class SendsSuccessorsAnyway(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        answer = super()._settle_one(settlement)
        if answer.answer is Answer.LOST and isinstance(settlement, Done):
            for message in settlement.then:
                self._store(message)
        return answer


@fault("drops all successors but the first", "STL-5")
class DropsSuccessors(MemoryTransport):
    def _settle_one(self, settlement: Settlement) -> Settled:
        if isinstance(settlement, Done):
            settlement = Done(settlement.delivery, settlement.then[:1])
        return super()._settle_one(settlement)


@fault("fails a whole batch for one lost loan", "STL-6")
class AllOrNothing(MemoryTransport):
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        with self._changed:
            if not all(self._lent(settlement.delivery) for settlement in settlements):
                return [Settled(Answer.LOST) for _ in settlements]
        return super().settle(settlements)


@fault("settles a whole receive at once", "STL-6")
class SettlesNeighbours(MemoryTransport):
    """One tag for all that was received together, as with a cumulative acknowledgement."""

    _batches: Mapping[str, list[Delivery]] = MappingProxyType({})

    def _claim(self, queues: Sequence[str], limit: int, lease: float) -> list[Delivery]:
        found = super()._claim(queues, limit, lease)
        self._batches = {**self._batches, **{each.message.id: found for each in found}}
        return found

    def _settle_one(self, settlement: Settlement) -> Settled:
        for each in self._batches.get(settlement.delivery.message.id, []):
            if each is not settlement.delivery and each.message.body < settlement.delivery.message.body:
                super()._settle_one(Done(each))
        return super()._settle_one(settlement)


@fault("answers for settlements in another order", "SND-7")
class AnswersDisordered(MemoryTransport):
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return sorted(super().settle(settlements), key=lambda settled: settled.answer.value)


@fault("settles before it refuses", "SND-5")
class SettlesThenRefuses(MemoryTransport):
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return [answer for each in settlements for answer in super(SettlesThenRefuses, self).settle([each])]


@fault("purges by prefix", "OPS-2")
class PurgesByPrefix(MemoryTransport):
    def purge(self, queue: str) -> int | None:
        return sum(super(PurgesByPrefix, self).purge(name) or 0 for name in list(self._queues) if name.startswith(queue))


@fault("purges loans", "OPS-2")
class PurgesLoans(MemoryTransport):
    def purge(self, queue: str) -> int | None:
        with self._changed:
            jobs = self._queue(queue).jobs
            count = len(jobs)
            jobs.clear()
        return count


@fault("purges all but what is delayed", "OPS-2")
class PurgesReadyOnly(MemoryTransport):
    def purge(self, queue: str) -> int | None:
        with self._changed:
            jobs, now = self._queue(queue).jobs, self._clock.steady()
            late = {name: job for name, job in jobs.items() if job.due > now}
            count = super().purge(queue)
            jobs.update(late)
        return count


class Miscounts(MemoryTransport):
    def miscount(self, depth: Depth) -> Depth:
        return depth

    def _depth_of(self, name: str) -> Depth:
        return self.miscount(super()._depth_of(name))


@fault("counts loans as ready", "OPS-1")
class CountsLoans(Miscounts):
    def miscount(self, depth: Depth) -> Depth:
        return attrs.evolve(depth, ready=(depth.ready or 0) + (depth.leased or 0))


@fault("says 0 for what it does not count", "OPS-1")
class SaysZero(Miscounts):
    def miscount(self, depth: Depth) -> Depth:
        return attrs.evolve(depth, delayed=0)


@fault("counts a lapsed lease as a loan", "OPS-1")
class NoticesLate(MemoryTransport):
    def _depth_of(self, name: str) -> Depth:
        queue, now = self._queue(name), self._clock.steady()
        lapsed = sum(1 for job in queue.jobs.values() if job.token is not None and job.lease_until <= now)
        depth = super()._depth_of(name)
        return attrs.evolve(depth, ready=(depth.ready or 0) - lapsed, leased=(depth.leased or 0) + lapsed)


@fault("tells the age of what is on loan", "OPS-1")
class AgeOfLoans(MemoryTransport):
    def _depth_of(self, name: str) -> Depth:
        now = self._clock.steady()
        times = [job.due for job in self._queue(name).jobs.values()]
        return attrs.evolve(super()._depth_of(name), oldest_age=now - min(times) if times else None)


@fault("forgets a queue in its list", "OPS-1")
class ForgetsQueue(MemoryTransport):
    def depth(self, queues: Sequence[str]) -> list[Depth]:
        found = super().depth(queues)
        return found if queues else found[1:]
