"""OPS-1: figures that people scale, alert and delete by."""

from __future__ import annotations

from jobkit.clock import steady
from jobkit.transport import Again, Depth, Transport
from jobkit_contract.bench import Bench
from jobkit_contract.clauses.settlement import renewed
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    EARLY,
    GRACE,
    depth,
    done,
    expect,
    expect_equal,
    receive,
    send,
    settle,
    short_lease,
    take,
    until_lapsed,
)


def _figures(transport: Transport, queue: str = "jobs") -> tuple[int | None, int | None, int | None]:
    found = depth(transport, queue)
    return found.ready, found.delayed, found.leased


@CONTRACT.check("OPS-1", needs="exact_counts", limit=60)
def counts_are_exact_at_rest(bench: Bench) -> None:
    """Ready, delayed and leased are what was sent minus what ended, after every step and for every holder."""
    transport, other = bench.transport(), bench.transport()
    delay = min(60.0, bench.capabilities.max_delay)
    expect_equal(_figures(other), (0, 0, 0), "ready, delayed, leased of an empty queue")
    send(transport, *bench.messages(25))
    expect_equal(_figures(other), (25, 0, 0), "after a send")
    late = 4 if delay > GRACE else 0
    send(transport, *bench.messages(late, delay=delay))
    expect_equal(_figures(other), (25, late, 0), "after a delayed send")
    loans = take(bench, transport, 11)
    expect_equal(_figures(other), (14, late, 11), "after a receive")
    done(transport, loans[:5])
    expect_equal(_figures(other), (14, late, 6), "after five were done")
    settle(transport, Again(loans[5], renewed(loans[5], b"again")))
    expect_equal(_figures(other), (15, late, 5), "after an Again")
    other.purge("jobs")
    expect_equal(_figures(other), (0, 0, 5), "after a purge")


@CONTRACT.check("OPS-1", needs="exact_counts native_delay", limit=60)
def lapsed_and_due_messages_count_as_ready(bench: Bench) -> None:
    """Whose lease or delay is over is ready, before anybody receives it; and depth answers in the order asked."""
    transport = bench.transport()
    lease, delay = short_lease(bench), min(1.0, bench.capabilities.max_delay)
    send(transport, *bench.messages(3), *bench.messages(2, queue="other", delay=delay))
    take(bench, transport, 2, lease=lease)
    bench.sleep(max(until_lapsed(bench, lease), delay + bench.capabilities.lease_slack + 0.25))
    found = transport.depth(["other", "unknown", "jobs"])
    seen = [(each.queue, each.ready, each.delayed, each.leased) for each in found]
    expect_equal(seen, [("other", 2, 0, 0), ("unknown", 0, 0, 0), ("jobs", 3, 0, 0)], "queue, ready, delayed, leased")


@CONTRACT.check("OPS-1")
def looking_changes_nothing(bench: Bench) -> None:
    """After many looks every message is there to be received, at once and for the first time."""
    transport, other = bench.transport(), bench.transport()
    send(transport, *bench.messages(6))
    for _ in range(20):
        other.depth(["jobs"])
        other.depth([])
    found = take(bench, transport, 6)
    expect_equal([each.receives for each in found], [1] * 6, "receives after looking")


@CONTRACT.check("OPS-1")
def every_queue_with_messages_is_listed(bench: Bench) -> None:
    """With no queue named, depth answers for those that hold messages, once each, or for none where it can not list."""
    transport = bench.transport()
    send(transport, *bench.messages(2), *bench.messages(1, queue="other"))
    names = [each.queue for each in transport.depth([])]
    expect_equal(len(names), len(set(names)), "queues that are listed twice")
    expect(not names or {"jobs", "other"} <= set(names), f"depth lists {names}, and messages are in jobs and other")


@CONTRACT.check("OPS-1", needs="knows_age", limit=60)
def the_oldest_age_is_that_of_the_oldest_ready_message(bench: Bench) -> None:
    """The age counts from when a message became ready: not that of lent ones, and absent where none is ready."""
    transport = bench.transport()
    expect_equal(depth(transport).oldest_age, None, "the oldest age of an empty queue")
    begun = steady()
    send(transport, bench.message("first"))
    bench.sleep(1.5)
    between = steady()
    send(transport, bench.message("second"))
    _age_is_within(transport, 1.4, begun)
    first = receive(transport, limit=1)
    _age_is_within(transport, 0.0, between)
    done(transport, [*first, *receive(transport)])
    expect_equal(depth(transport).oldest_age, None, "the oldest age once all is done")


def _age_is_within(transport: Transport, least: float, since: float) -> None:
    """The oldest age is at least *least*, and no more than the time since the instant *since*."""
    age = depth(transport).oldest_age
    most = steady() - since + EARLY
    expect(age is not None and least <= age <= most, f"the oldest ready message is {most:.1f} s old, and depth says {age}")


@CONTRACT.check("OPS-1", needs="knows_age native_delay", limit=60)
def a_delay_does_not_count_as_age(bench: Bench) -> None:
    """A message that was delayed is as old as the time since it became due."""
    transport = bench.transport()
    delay = min(2.5, bench.capabilities.max_delay)
    begun = steady()
    send(transport, bench.message("later", delay=delay))
    expect(depth(transport).oldest_age is None or steady() > begun + delay, "depth tells the age of a delayed message")
    bench.sleep(delay + bench.capabilities.lease_slack + 0.3)
    _age_is_within(transport, 0.0, begun + delay)


def told(found: Depth) -> list[int]:
    """The figures that the broker can tell."""
    return [figure for figure in (found.ready, found.delayed, found.leased) if figure is not None]
