"""ORD-1: what comes first, and what comes all the same."""

from __future__ import annotations

import time
from statistics import mean

from jobkit import JobKit
from jobkit.queues import Priority
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.shop import Shop
from jobkit_contract.staff import local
from jobkit_contract.steps import expect

UPWARDS: tuple[Priority, ...] = ("low", "normal", "high")


def _shop(bench: Bench) -> Shop:
    shop = Shop(bench, JobKit())

    @shop.jobs.handler(queue="jobs")
    @local
    def say(priority: str) -> None:
        shop.notes(priority)
        time.sleep(0.01)

    return shop


def _run(shop: Shop, numbers: dict[Priority, int]) -> list[str]:
    """Enqueue so many of each, lowest first, and have one slot run them all. Returns the order."""
    say = shop.jobs.get("say")
    for priority in UPWARDS:
        shop.jobs.enqueue_many([say.using(priority=priority).new(priority) for _ in range(numbers[priority])])
    shop.worker(concurrency=1)
    shop.notes.wait_for_any(sum(numbers.values()), within=15.0)
    shop.nothing_left()
    return shop.notes.all()


@CONTRACT.check("ORD-1", plane=Plane.WORKER, limit=60)
def high_comes_before_normal_before_low(bench: Bench) -> None:
    """Of what is due, high jobs begin long before normal ones, and those before low ones, whatever was sent first."""
    order = _run(_shop(bench), {"low": 30, "normal": 30, "high": 30})
    place = {priority: mean(number for number, each in enumerate(order) if each == priority) for priority in UPWARDS}
    said = ", ".join(f"{priority} {place[priority]:.0f}" for priority in UPWARDS)
    expect(place["high"] + 8 < place["normal"] < place["low"] - 8, f"mean places in the order of starts: {said}")
    expect(order[0] == "high", f"the first to start was {order[0]}")


@CONTRACT.check("ORD-1", plane=Plane.WORKER, limit=60)
def low_does_not_starve(bench: Bench) -> None:
    """Behind 150 high jobs, a few normal and low ones begin before half of those have: one look in ten is theirs."""
    order = _run(_shop(bench), {"low": 3, "normal": 3, "high": 150})
    for priority in ("normal", "low"):
        first = order.index(priority)
        expect(first < 75, f"the first {priority} job began after {first} high ones")
