"""SND: what a send promises before the job has gone anywhere."""

from __future__ import annotations

import math

from jobkit.errors import JobKitError, TooLarge
from jobkit.transport import Again, Done
from jobkit_contract.bench import Bench
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    bodies,
    done,
    expect,
    expect_equal,
    extend,
    nothing_comes,
    raises,
    receive,
    send,
    take,
    take_one,
)

NEW_QUEUE = "never-heard-of"

BAD_QUEUES = ["", "x" * 81, "with space", "dot.ted", "sl/ash", "ä", "quote'd", "new\nline", "end\n", "semi;colon", "%"]


@CONTRACT.check("SND-4")
def a_new_queue_is_created_or_refused(bench: Bench) -> None:
    """What is sent to a queue that setup never heard of is delivered, or raises."""
    transport = bench.transport()
    try:
        send(transport, bench.message("new", queue=NEW_QUEUE))
    except JobKitError:
        return
    found = take(bench, bench.transport(), 1, queues=[NEW_QUEUE])
    expect_equal(bodies(found), [b"new"], "what was sent to a new queue")


@CONTRACT.check("SND-4")
def a_successor_in_a_new_queue_is_kept_or_refused(bench: Bench) -> None:
    """A successor for a queue that setup never heard of is delivered; or the settle raises and its job stays."""
    transport = bench.transport()
    send(transport, bench.message("first"))
    first = take_one(bench, transport)
    try:
        transport.settle([Done(first, (bench.message("next", queue=NEW_QUEUE),))])
    except JobKitError:
        extend(transport, first)
        return
    found = take(bench, bench.transport(), 1, queues=[NEW_QUEUE])
    expect_equal(bodies(found), [b"next"], "the successor in a new queue")


@CONTRACT.check("SND-5")
def one_body_too_large_sends_nothing(bench: Bench) -> None:
    """A batch with one body that is too large raises TooLarge, and none of it is sent."""
    transport = bench.transport()
    large = bench.message(bytes(bench.capabilities.max_body + 1))
    batch = [bench.message("before"), large, bench.message("after")]
    raises(TooLarge, lambda: transport.send(batch), "a batch with one body that is too large")
    nothing_comes(bench.transport(), within=1.0, why="nothing of the refused batch may be sent")


@CONTRACT.check("SND-5")
def one_bad_queue_sends_nothing(bench: Bench) -> None:
    """A batch with one bad queue name raises ValueError, and none of it is sent."""
    transport = bench.transport()
    for name in BAD_QUEUES:
        batch = [bench.message("before"), bench.message(queue=name), bench.message("after")]
        raises(ValueError, lambda batch=batch: transport.send(batch), f"a batch with the queue name {name!r}")
    nothing_comes(bench.transport(), within=1.0, why="nothing of the refused batches may be sent")


@CONTRACT.check("SND-5")
def one_bad_delay_sends_nothing(bench: Bench) -> None:
    """A batch with one delay below 0, beyond `max_delay` or not a number raises ValueError, and none of it is sent."""
    transport = bench.transport()
    for delay in (-0.001, math.nan, math.inf, bench.capabilities.max_delay * 1.001 + 0.001):
        batch = [bench.message("before"), bench.message(delay=delay), bench.message("after")]
        raises(ValueError, lambda batch=batch: transport.send(batch), f"a batch with a delay of {delay} s")
    nothing_comes(bench.transport(), within=1.0, why="nothing of the refused batches may be sent")


@CONTRACT.check("SND-5")
def a_refused_settlement_settles_nothing(bench: Bench) -> None:
    """Settlements of which one is out of bounds raise, and none is carried out: the loans live on."""
    transport = bench.transport()
    send(transport, *bench.messages(3))
    loans = take(bench, transport, 3)
    large = bench.message(bytes(bench.capabilities.max_body + 1))
    other = bench.message("another id")
    fine = Done(loans[0], (bench.message("successor"),))
    for refused, error in (
        (Done(loans[1], (large,)), TooLarge),
        (Done(loans[1], (bench.message(queue="not allowed"),)), ValueError),
        (Again(loans[1], other), ValueError),
    ):
        raises(error, lambda refused=refused: transport.settle([fine, refused]), f"settling {type(refused).__name__}")
    nothing_comes(bench.transport(), within=0.5, why="nothing of the refused settlements may be sent")
    extend(transport, *loans)
    done(transport, loans)


@CONTRACT.check("SND-5")
def an_empty_batch_is_harmless(bench: Bench) -> None:
    """Nothing to do is done: every call that takes a list takes an empty one."""
    transport = bench.transport()
    expect_equal(list(transport.send([])), [], "answers to an empty send")
    expect_equal(list(transport.settle([])), [], "answers to an empty settle")
    expect_equal(list(transport.extend([], lease=10.0)), [], "answers to an empty extend")
    expect(not receive(transport), "a receive from an empty queue gave something")
