"""DLV: what receivers see, and when."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise

from jobkit.clock import steady
from jobkit.errors import TooLarge
from jobkit.transport import Again, Delivery, Done, Message, Transport
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Level
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    GRACE,
    LONG,
    bodies,
    done,
    expect,
    expect_equal,
    ids,
    nothing_comes,
    raises,
    receive,
    send,
    settle,
    take,
    take_one,
)

SCALARS = [*range(0x20, 0x180), 0x2028, 0xFEFF, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF]


@CONTRACT.check("DLV-1", limit=60)
def a_thousand_messages_all_arrive_once(bench: Bench) -> None:
    """Of a thousand messages, sent by several holders in batches of random size, every one arrives, and arrives once."""
    batch = bench.messages(1000)
    senders, receivers = [bench.transport() for _ in range(3)], [bench.transport() for _ in range(2)]
    start = 0
    while start < len(batch):
        size = bench.random.randint(1, 60)
        send(bench.random.choice(senders), *batch[start : start + size])
        start += size
    seen: list[str] = []
    while len(seen) < len(batch):
        receiver = bench.random.choice(receivers)
        found = take(bench, receiver, min(len(batch) - len(seen), bench.random.randint(1, 80)))
        seen += ids(found)
        done(receiver, found)
    nothing_comes(receivers[0], within=0.5, why="all thousand were settled")
    expect_equal(sorted(seen), sorted(ids(batch)), "ids that arrived")


def _odd_bodies(bench: Bench) -> list[bytes]:
    everything = bytes(range(256))
    texts = ["".join(map(chr, SCALARS)), "e\u0301 \u00e9", "%s %(x)s :name ? $1 {} ''", '{"a": "\\u0000"}', "\\x00", "null"]
    edges = [b"", b"\0", b"\0\0lead", b"trail\0", b" both ", b"\r\n", b"\xff\xfe", b"\xed\xa0\x80", b"aGk=", b"\\"]
    noise = [bench.random.randbytes(bench.random.randint(1, 5000)) for _ in range(10)]
    return [*edges, everything, everything[::-1] * 40, *(text.encode() for text in texts), *noise]


@CONTRACT.check("DLV-2")
def bodies_arrive_byte_for_byte(bench: Bench) -> None:
    """Every body is handed out as it was sent: every byte, all kinds of text, none at all."""
    sender, receiver = bench.transport(), bench.transport()
    batch = [bench.message(body) for body in [*_odd_bodies(bench), *(bytes([number]) for number in range(256))]]
    send(sender, *batch)
    found = {delivery.message.id: delivery.message.body for delivery in take(bench, receiver, len(batch))}
    for message in batch:
        expect_equal(found[message.id], message.body, "a body")
        expect(type(found[message.id]) is bytes, f"a body came as {type(found[message.id]).__name__}, not as bytes")


@CONTRACT.check("DLV-2")
def bodies_of_again_and_of_successors_arrive_byte_for_byte(bench: Bench) -> None:
    """The same holds for bodies that come with a settlement."""
    transport = bench.transport()
    odd = _odd_bodies(bench)
    send(transport, *bench.messages(2 * len(odd)))
    loans = take(bench, transport, 2 * len(odd))
    again = [
        Again(loan, Message(id=loan.message.id, queue="jobs", body=body)) for loan, body in zip(loans, odd, strict=False)
    ]
    then = [Done(loan, (bench.message(body),)) for loan, body in zip(loans[len(odd) :], odd, strict=True)]
    settle(transport, *again, *then)
    expect_equal(sorted(bodies(take(bench, transport, 2 * len(odd)))), sorted(odd * 2), "bodies after settling")


@CONTRACT.check("DLV-2")
def queue_and_id_come_back(bench: Bench) -> None:
    """A delivery names the queue and the id that were sent."""
    transport = bench.transport()
    batch = [bench.message("a"), bench.message("b", queue="other")]
    send(transport, *batch)
    found = take(bench, transport, 2, queues=["jobs", "other"])
    seen = {(each.message.id, each.message.queue, each.message.body) for each in found}
    expect_equal(seen, {(each.id, each.queue, each.body) for each in batch}, "what came back")


@CONTRACT.check("DLV-3", limit=60, heavy=True)
def the_largest_body_passes(bench: Bench) -> None:
    """A body of `max_body` bytes is sent, received whole and settled."""
    transport = bench.transport()
    largest = bench.random.randbytes(min(bench.capabilities.max_body, 65536))
    largest = (largest * (bench.capabilities.max_body // len(largest) + 1))[: bench.capabilities.max_body]
    send(transport, bench.message(largest))
    loan = take_one(bench, transport)
    expect_equal(len(loan.message.body), len(largest), "the largest body's length")
    expect(loan.message.body == largest, "the largest body came back with other bytes")
    done(transport, [loan])


@CONTRACT.check("DLV-3")
def one_byte_more_raises_before_any_io(bench: Bench) -> None:
    """One byte more raises TooLarge, even where nothing was set up and any look at the backend would raise first."""
    bare = bench.sibling(setup=False)
    transport = bare.transport()
    large = bench.message(bytes(bench.capabilities.max_body + 1))
    raises(TooLarge, lambda: transport.send([large]), "sending a body of max_body + 1")
    delivery = Delivery(message=bench.message(), receives=1, lease_until=steady() + LONG, receipt=None)
    again = Again(delivery, Message(id=delivery.message.id, queue="jobs", body=large.body))
    raises(TooLarge, lambda: transport.settle([again]), "settling with a body of max_body + 1")


def _wakes(bench: Bench, sender: Transport, waiting: Transport, pause: float) -> None:
    """One round: *waiting* waits, *sender* sends after *pause*, and the wait ends within the declared latency."""
    future = bench.start(lambda: (receive(waiting, wait=GRACE + 30.0), steady()))
    bench.sleep(pause)
    sent = steady()
    send(sender, bench.message("wake up"))
    deliveries, woken = future.result(timeout=GRACE + 40.0)
    late = woken - sent
    allowed = bench.capabilities.wake_latency + GRACE
    expect(deliveries, "a waiting receive came back empty-handed although a message was sent")
    expect(late <= allowed, f"a waiting receive woke {late:.2f} s after the send; {allowed:g} s is allowed")
    done(waiting, deliveries)


@CONTRACT.check("DLV-4", limit=90)
def a_waiting_receiver_wakes_for_another_holders_send(bench: Bench) -> None:
    """A receiver that has waited for a while wakes when somebody else sends."""
    _wakes(bench, bench.transport(), bench.transport(), 1.5)


@CONTRACT.check("DLV-4", limit=90)
def a_send_at_any_moment_wakes_the_receiver(bench: Bench) -> None:
    """Whatever the moment of the send in relation to the start of the wait, no wake-up is lost for good."""
    sender, waiting = bench.transport(), bench.transport()
    for _ in range(25):
        _wakes(bench, sender, waiting, bench.random.choice([0.0, 0.001, 0.003, 0.01, 0.05]))


@CONTRACT.check("DLV-4", limit=90)
def what_was_sent_while_nobody_waited_is_found(bench: Bench) -> None:
    """A signal that came while nobody listened is not needed: the next receive finds the message at once."""
    sender, receiver = bench.transport(), bench.transport()
    for _ in range(3):
        nothing_comes(receiver, why="nothing was sent")
        send(sender, bench.message("early"))
        bench.sleep(0.3)
        begun = steady()
        done(receiver, take(bench, receiver, 1))
        expect(steady() - begun < GRACE, f"a message that lay there was found only after {steady() - begun:.1f} s")


@CONTRACT.check("DLV-4", limit=90, needs="native_delay")
def a_delay_that_ends_wakes_the_receiver(bench: Bench) -> None:
    """No signal comes when a delay ends; a waiting receiver finds the message all the same."""
    sender, waiting = bench.transport(), bench.transport()
    delay = min(2.0, bench.capabilities.max_delay)
    future = bench.start(lambda: receive(waiting, wait=delay + GRACE + 30.0))
    bench.sleep(0.3)
    sent = steady()
    send(sender, bench.message("later", delay=delay))
    found = future.result(timeout=GRACE + 45.0)
    expect_equal(bodies(found), [b"later"], "what the waiting receive gave")
    late = steady() - sent - delay
    expect(late <= bench.capabilities.lease_slack + GRACE, f"the delayed message came {late:.1f} s late")


@CONTRACT.check("DLV-5", needs="single_delivery", limit=60)
def many_receivers_never_hold_the_same_message(bench: Bench) -> None:
    """Eight receivers on four handles empty a queue of 400: no message is lent twice while its lease lives."""
    batch = bench.messages(400)
    holders = [bench.transport() for _ in range(4)]
    send(holders[0], *batch)
    limits = [bench.random.randint(1, 25) for _ in range(8)]
    barrier = threading.Barrier(8)

    def empty(number: int) -> list[str]:
        holder, limit = holders[number % 4], limits[number]
        barrier.wait()
        seen: list[str] = []
        while found := receive(holder, limit=limit, wait=1.0):
            seen += ids(found)
        return seen

    futures = [bench.start(partial(empty, number)) for number in range(8)]
    lent = [name for future in futures for name in future.result(timeout=50)]
    expect_equal(len(lent) - len(set(lent)), 0, "messages that were lent twice")
    expect_equal(sorted(lent), sorted(ids(batch)), "messages that were lent")


@CONTRACT.check("DLV-5", needs="single_delivery")
def sending_a_living_id_again_makes_no_second_copy(bench: Bench) -> None:
    """A message that is sent again while it is ready, delayed or on loan, or twice in one batch, is there once."""
    first, second = bench.transport(), bench.transport()
    message = bench.message("once")
    send(first, message, message)
    send(second, message)
    loan = take_one(bench, first)
    send(second, message)
    nothing_comes(second, within=1.0, why="the one copy is on loan")
    done(first, [loan])
    nothing_comes(second, within=1.0, why="the one copy was settled")
    delayed = bench.message("later", delay=min(1.5, bench.capabilities.max_delay))
    send(first, delayed)
    send(second, delayed)
    take_one(bench, first, within=1.5)
    nothing_comes(second, within=1.0, why="the one copy is on loan")


@CONTRACT.check("DLV-6")
def an_empty_receive_waits_as_long_as_it_was_told(bench: Bench) -> None:
    """With nothing to receive, the call returns after `wait`: not before, and not long after."""
    transport = bench.transport()
    for wait in (0.0, 0.4, 1.3):
        begun = steady()
        expect_equal(receive(transport, wait=wait), [], "a receive from an empty queue")
        took = steady() - begun
        expect(took >= wait - 0.01, f"a receive with wait {wait} s came back empty after {took:.3f} s")
        expect(took <= wait + GRACE, f"a receive with wait {wait} s came back only after {took:.1f} s")


@CONTRACT.check("DLV-6")
def a_receive_does_not_wait_for_more(bench: Bench) -> None:
    """One message is enough to end the wait, whatever the limit."""
    transport = bench.transport()
    send(transport, bench.message("only"))
    begun = steady()
    expect_equal(bodies(receive(transport, limit=10, wait=GRACE + 20.0)), [b"only"], "what the receive gave")
    expect(steady() - begun <= GRACE, f"a receive waited {steady() - begun:.1f} s beside a message")


@CONTRACT.check("DLV-6", limit=60)
def stop_ends_the_wait(bench: Bench) -> None:
    """`stop` ends a wait soon, and a wait whose `stop` is set already does not begin."""
    transport, stop = bench.transport(), threading.Event()

    def wait() -> float:
        transport.receive(["jobs"], limit=1, wait=GRACE + 30.0, lease=LONG, stop=stop)
        return steady()

    future = bench.start(wait)
    bench.sleep(0.7)
    expect(not future.done(), "a receive with a long wait came back from an empty queue")
    stopped = steady()
    stop.set()
    late = future.result(timeout=GRACE + 40.0) - stopped
    expect(late <= 5.0, f"a receive went on for {late:.1f} s after stop was set; promised are 0.25 s")
    begun = steady()
    wait()
    expect(steady() - begun <= 5.0, "a receive waited although stop had been set before")


@CONTRACT.check("DLV-6")
def the_first_queues_come_first(bench: Bench) -> None:
    """`receive` empties the queues in the order in which it was given them; the core's priorities rest on it."""
    transport = bench.transport()
    send(transport, *bench.messages(12, queue="other"))
    send(transport, *bench.messages(12))
    expect_equal({each.message.queue for each in receive(transport, queues=["jobs", "other"], limit=6)}, {"jobs"}, "queues")
    expect_equal({each.message.queue for each in receive(transport, queues=["other", "jobs"], limit=6)}, {"other"}, "queues")
    rest = take(bench, transport, 12, queues=["jobs", "other"])
    expect_equal(sorted(each.message.queue for each in rest), ["jobs"] * 6 + ["other"] * 6, "queues of the rest")


@CONTRACT.check("ORD-2")
def arrival_is_roughly_the_order(bench: Bench) -> None:
    """A hundred messages of one sender reach one receiver roughly in the order in which they were sent."""
    transport = bench.transport()
    batch = bench.messages(100)
    for start in range(0, 100, 5):
        send(transport, *batch[start : start + 5])
    seen = [int(body) for body in bodies(take(bench, transport, 100, limit=10))]
    off = sum(abs(place - number) for place, number in enumerate(seen)) / len(seen)
    # Chance puts a message 33 places off on average, a stack 50.
    expect(off <= 20, f"messages were delivered {off:.0f} places off on average; a shuffle has 33")


@CONTRACT.check("ORD-2", needs="single_delivery", level=Level.FULL)
def a_lapsed_message_does_not_hold_up_the_others(bench: Bench) -> None:
    """While one message is on loan, those behind it are handed out."""
    transport = bench.transport()
    send(transport, *bench.messages(5))
    held = receive(transport, limit=1)
    rest = take(bench, transport, 4)
    numbers = [int(body) for body in bodies([*held, *rest])]
    expect(all(a != b for a, b in pairwise(sorted(numbers))), f"a message came twice: {numbers}")
