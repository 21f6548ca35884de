"""DLV-7 and OPS-2: namespaces and queues are separate, whatever their names hold."""

from __future__ import annotations

from jobkit.errors import ConfigurationError
from jobkit_contract.bench import Bench
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import bodies, expect, expect_equal, nothing_comes, raises, receive, send, take

ALIKE = (
    "a_b",
    "aXb",
    "a-b",
    "ab",
    "A_B",
    "a_b_",
    "a_b-c",
    "A",
    "a",
    "_",
    "-",
    "x" * 80,
    "x" * 79,
    "x" * 79 + "y",
    "1",
    "01",
)
"""Alike in case, as a pattern, as a prefix, cut off, or as a number."""

BAD_NAMESPACES = ("", "A", "1a", "_a", "a-b", "a b", "a.b", "ä", "a'b", 'a"b', "a;b", "a/b", "a\n", "x" * 41)


@CONTRACT.check("DLV-7")
def queues_with_similar_names_are_separate(bench: Bench) -> None:
    """A queue hands out what was sent to it, and nothing of another one whose name looks like its own."""
    place = bench.place
    place.setup(ALIKE)
    transport = bench.transport()
    send(transport, *(bench.message(name, queue=name) for name in ALIKE))
    for name in ALIKE:
        expect_equal(bodies(take(bench, transport, 1, queues=[name])), [name.encode()], f"what queue {name!r} holds")
        nothing_comes(transport, queues=[name], why=f"queue {name!r} held one message")


@CONTRACT.check("DLV-7")
def namespaces_share_nothing(bench: Bench) -> None:
    """The same id in the same queue of two namespaces are two messages; settling and purging one leaves the other."""
    name = bench.place.url.params["namespace"]
    benches = [bench, bench.sibling(f"{name}_"), bench.sibling(f"{name[:-1]}x"), bench.sibling(f"{name}a")]
    message = bench.message("shared id")
    for number, each in enumerate(benches):
        send(each.transport(), message, each.message(f"own {number}"))
    first = bench.transport()
    loans = take(bench, first, 2)
    expect_equal(sorted(bodies(loans)), [b"own 0", b"shared id"], "what the first namespace holds")
    first.purge("jobs")
    for number, each in enumerate(benches[1:], 1):
        found = sorted(bodies(take(each, each.transport(), 2)))
        expect_equal(found, sorted([f"own {number}".encode(), b"shared id"]), "what another namespace holds")


@CONTRACT.check("DLV-7")
def bad_namespaces_are_refused(bench: Bench) -> None:
    """A namespace that some backend could not carry is refused where it is declared, before any I/O."""
    for name in BAD_NAMESPACES:
        place = bench.place.in_namespace(name)
        raises((ConfigurationError, ValueError), place.open_transport, f"a transport in namespace {name!r}")


@CONTRACT.check("DLV-7")
def the_longest_namespace_works(bench: Bench) -> None:
    """Forty characters are allowed, and two that differ in the last one only are two."""
    stem = bench.place.url.params["namespace"].ljust(39, "z")
    first, second = bench.sibling(f"{stem}a"), bench.sibling(f"{stem}b")
    send(first.transport(), first.message("mine"))
    nothing_comes(second.transport(), within=0.5, why="the message is in another namespace")
    expect_equal(bodies(take(first, first.transport(), 1)), [b"mine"], "what the first namespace holds")


@CONTRACT.check("OPS-2")
def a_purge_hits_exactly_its_queue(bench: Bench) -> None:
    """Purging a queue removes what is ready and delayed in it, and leaves every other queue, however alike its name."""
    bench.place.setup(ALIKE)
    transport = bench.transport()
    delay = min(30.0, bench.capabilities.max_delay)
    for name in ALIKE:
        send(transport, *bench.messages(3, queue=name), bench.message("later", queue=name, delay=delay))
    count = transport.purge("a_b")
    expect(count in (4, None), f"a purge of 4 messages said {count}")
    nothing_comes(transport, queues=["a_b"], within=0.5, why="the queue was purged")
    for name in ALIKE[1:]:
        found = bodies(take(bench, transport, 3, queues=[name]))
        expect_equal(sorted(found), [b"0", b"1", b"2"], f"what is left in {name!r}")


@CONTRACT.check("OPS-2")
def a_purge_leaves_loans_alone(bench: Bench) -> None:
    """What is on loan is not purged: its holder settles it as usual, and an unknown queue is purged in vain."""
    transport = bench.transport()
    send(transport, *bench.messages(5))
    held = receive(transport, limit=2)
    count = bench.transport().purge("jobs")
    expect(count in (5 - len(held), None), f"a purge beside {len(held)} loans said {count}")
    answers = transport.extend(held, lease=60.0)
    expect(all(each.answer.value == "yes" for each in answers), f"a loan did not survive the purge: {answers}")
    expect(bench.transport().purge("nothing-here") in (0, None), "a purge of an unknown queue removed something")


@CONTRACT.check("OPS-2", needs="native_delay")
def purged_delays_do_not_come_back(bench: Bench) -> None:
    """A delayed message that was purged does not come when its time is there."""
    transport = bench.transport()
    send(transport, bench.message("never", delay=min(1.5, bench.capabilities.max_delay)))
    transport.purge("jobs")
    nothing_comes(transport, within=2.5 + bench.capabilities.lease_slack, why="the delayed message was purged")
