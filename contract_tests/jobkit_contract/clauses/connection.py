"""CON: handles, their end, and processes that share what they should not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from jobkit.clock import steady
from jobkit.errors import Closed
from jobkit.store import Key, Write
from jobkit.transport import Again, Done
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Level, Plane
from jobkit_contract.clauses.settlement import PROXY, renewed
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    GRACE,
    bodies,
    done,
    expect,
    expect_equal,
    nothing_comes,
    raises,
    receive,
    send,
    take,
    take_one,
)


@CONTRACT.check("CON-2", limit=60)
def close_ends_a_waiting_receive(bench: Bench) -> None:
    """A receive that waits when its transport is closed ends soon, empty-handed or with Closed."""
    transport = bench.transport()

    def wait() -> float:
        with suppress(Closed):
            expect_equal(receive(transport, wait=GRACE + 30.0), [], "what a closed transport received")
        return steady()

    future = bench.start(wait)
    bench.sleep(0.7)
    expect(not future.done(), "a receive with a long wait came back from an empty queue")
    closed = steady()
    transport.close()
    late = future.result(timeout=GRACE + 40.0) - closed
    expect(late <= 5.0, f"a receive went on for {late:.1f} s after close")


@CONTRACT.check("CON-2", limit=90)
def a_waiting_receive_keeps_nobody_waiting(bench: Bench) -> None:
    """While one thread waits in receive, others send, settle, extend, look and receive through the same transport."""
    transport = bench.transport()
    future = bench.start(lambda: receive(transport, queues=["other"], wait=25.0))
    bench.sleep(0.3)
    begun = steady()
    send(transport, *bench.messages(2))
    loans = take(bench, transport, 2)
    transport.extend(loans, lease=60.0)
    transport.depth(["jobs"])
    done(transport, loans)
    transport.purge("jobs")
    took = steady() - begun
    expect(took < 20.0 and not future.done(), f"calls beside a waiting receive took {took:.1f} s")
    send(transport, bench.message("end", queue="other"))
    expect_equal(bodies(future.result(timeout=GRACE + 30.0)), [b"end"], "what the waiting receive gave")


@CONTRACT.check("CON-4")
def a_closed_transport_says_so(bench: Bench) -> None:
    """Closing twice is harmless, and every call after it raises Closed."""
    transport, other = bench.transport(), bench.transport()
    send(transport, bench.message("held"))
    loan = take_one(bench, transport)
    transport.close()
    transport.close()
    again = Again(loan, renewed(loan, b"again"))
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: transport.send([bench.message("late")]),
        "receive": lambda: receive(transport),
        "a waiting receive": lambda: receive(transport, wait=1.0),
        "settle": lambda: transport.settle([Done(loan)]),
        "settle with Again": lambda: transport.settle([again]),
        "extend": lambda: transport.extend([loan], lease=10.0),
        "depth": lambda: transport.depth(["jobs"]),
        "purge": lambda: transport.purge("jobs"),
    }
    for name, call in calls.items():
        raises(Closed, call, f"{name} after close")
    # A broker may take back at once what a holder that leaves had on loan; it is due then, as it was.
    found = bodies(receive(other, wait=0.5))
    expect(found in ([], [b"held"]), f"what was called after close did nothing, but {found} came")


@CONTRACT.check("CON-4", plane=Plane.STORE)
def a_closed_store_says_so(bench: Bench) -> None:
    """The same holds for a store."""
    store = bench.store()
    key = Key("things", "one")
    store.put([Write(key, b"value")])
    store.close()
    store.close()
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get([key]),
        "put": lambda: store.put([Write(key, b"late")]),
        "scan": lambda: store.scan("things", limit=1),
        "count": lambda: store.count("things", limit=1),
    }
    for name, call in calls.items():
        raises(Closed, call, f"{name} after close")
    record = bench.store().get([key])[0]
    expect(record is not None and record.value == b"value", "a put after close was carried out")


@CONTRACT.check("CON-4")
def an_unused_transport_can_be_closed(bench: Bench) -> None:
    """Closing a handle that was never used does no I/O and no harm, even where nothing was set up."""
    bench.sibling(setup=False).transport().close()


@CONTRACT.check("CON-4", needs="shared", limit=90)
def a_forked_child_does_not_share_a_connection(bench: Bench) -> None:
    """Parent and forked child go on with the same transport at once: what either was answered YES for is there, once."""
    said = bench.spawn("fork_and_send", count=60).hear(within=60)
    expect_equal(said["parent"], 60, "sends of the parent that were answered YES, beside a forked child")
    expect(said["child"] >= 0, "the forked child died at its first send")
    found = sorted(bodies(take(bench, bench.transport(), 61 + said["child"])))
    expect_equal(len(found), len(set(found)), "messages that arrived twice")
    nothing_comes(bench.transport(), within=0.5, why="every send that was answered YES has arrived")


CONTRACT.later("CON-1", "cuts_and_restarts_heal", PROXY, plane=Plane.TRANSPORT)
CONTRACT.later("CON-2", "a_silent_broker_ends_no_call_late", PROXY, plane=Plane.TRANSPORT, level=Level.CERTIFIED)
CONTRACT.later("SND-1", "what_was_sent_survives_a_hard_kill", "it comes with the broker's restart", plane=Plane.TRANSPORT)
CONTRACT.later("SND-2", "a_lost_reply_is_unknown", PROXY, plane=Plane.TRANSPORT)
