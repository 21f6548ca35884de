"""How much lies where: the broker's counts, the store's parked and dead ones, together by queue as users name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from jobkit import records
from jobkit.backend import Backend
from jobkit.queues import all_physical
from jobkit.store import Store
from jobkit.transport import Depth

COUNTED = 10_000
"""Parked jobs and dead letters are told apart by queue up to so many; beyond, a queue's figure is None."""


@attrs.frozen(kw_only=True)
class QueueStats:
    """
    One queue. What the broker cannot tell is None.

    Attributes:
        delayed: In the broker and parked in the store.
        oldest_age: Seconds for which the oldest ready job has been ready.
    """

    queue: str
    ready: int | None
    delayed: int | None
    leased: int | None
    dead: int | None
    oldest_age: float | None


def gather(backend: Backend, queues: Sequence[str]) -> list[QueueStats]:
    """
    The figures for each of *queues*, in order.

    A job that moves between broker and store while they are asked may be counted twice, but is never left out: parked ones
    are looked at before and after the broker.
    """
    names = [name for queue in queues for name in all_physical(queue)]
    before = _parked(backend.store)
    depths = {depth.queue: depth for depth in backend.transport.depth(names)} if names else {}
    after, dead = _parked(backend.store), _dead(backend.store)
    parked = None if before is None or after is None else before | after
    return [_one(queue, [depths[name] for name in all_physical(queue)], parked, dead) for queue in queues]


def _one(queue: str, depths: Sequence[Depth], parked: Counter[str] | None, dead: Counter[str] | None) -> QueueStats:
    ages = [depth.oldest_age for depth in depths if depth.oldest_age is not None]
    delayed = _sum(depth.delayed for depth in depths)
    return QueueStats(
        queue=queue,
        ready=_sum(depth.ready for depth in depths),
        delayed=None if delayed is None or parked is None else delayed + parked[queue],
        leased=_sum(depth.leased for depth in depths),
        dead=None if dead is None else dead[queue],
        oldest_age=max(ages) if ages else None,
    )


def _sum(figures: Iterable[int | None]) -> int | None:
    known = list(figures)
    return None if None in known else sum(figure for figure in known if figure is not None)


def _parked(store: Store) -> Counter[str] | None:
    entries = store.scan(records.DUE, limit=COUNTED)
    if len(entries) == COUNTED:
        return None
    found = records.read(store, [records.parse_due(raw).id for _, raw in entries])
    return Counter(stored.record.queue for stored in found if stored is not None and stored.record.state == "parked")


def _dead(store: Store) -> Counter[str] | None:
    entries = store.scan(records.DEAD, limit=COUNTED)
    if len(entries) == COUNTED:
        return None
    return Counter(records.parse_dead(raw).queue for _, raw in entries)
