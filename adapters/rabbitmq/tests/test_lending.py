"""What receivers are given, what they keep from others, and when it goes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import amqp
import attrs
import pytest

from jobkit.clock import ManualClock
from jobkit.transport import Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.queues import Names
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Open = Callable[[Url], RabbitmqTransport]
Until = Callable[..., None]


def ids(deliveries: list[Delivery]) -> list[str]:
    return [each.message.id for each in deliveries]


def ready(transport: RabbitmqTransport, queue: str = "q") -> int | None:
    return transport.depth([queue])[0].ready


def test_a_receiver_takes_what_it_asked_for_and_no_more(
    url: Url, open_transport: Open, message: Make, take: Take, until: Until
) -> None:
    """Consumers come and go with their receivers: what was not asked for is ready for others."""
    first, second = open_transport(url), open_transport(url)
    first.send([message(str(number)) for number in range(50)])
    assert ids(take(first, limit=7)) == [str(number) for number in range(7)]
    assert ready(second) == 43
    assert ids(take(second, limit=50)) == [str(number) for number in range(7, 50)]


def test_queues_are_emptied_in_the_order_in_which_they_are_named(
    transport: RabbitmqTransport, message: Make, take: Take
) -> None:
    transport.send([message(f"low {number}", queue="low") for number in range(5)])
    transport.send([message(f"high {number}", queue="high") for number in range(5)])
    assert ids(take(transport, "high", "low", limit=7)) == [*(f"high {n}" for n in range(5)), "low 0", "low 1"]
    assert ready(transport, "low") == 3


def test_a_waiting_receiver_is_given_the_message_by_the_broker(
    url: Url, open_transport: Open, message: Make, take: Take
) -> None:
    receiver, sender = open_transport(url), open_transport(url)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, receiver, "q", "other", wait=20)
        time.sleep(0.3)
        sender.send([message("woken", queue="other")])
        assert ids(waiting.result(20)) == ["woken"]
    assert receiver.receive(["q"], limit=1, wait=0, lease=9, stop=threading.Event()) == []


def test_what_came_too_late_for_one_receiver_is_the_next_ones(
    url: Url, open_transport: Open, message: Make, take: Take
) -> None:
    """Messages for several queues may come at once for one receiver that may have only one of them."""
    receiver, sender = open_transport(url), open_transport(url)
    for _ in range(10):
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(take, receiver, "a", "b", "c", limit=1, wait=20)
            time.sleep(0.1)
            sender.send([message(queue, queue=queue) for queue in "abc"])
            found = waiting.result(20)
        while len(found) < 3:
            found += take(receiver, "a", "b", "c", wait=20)
        assert sorted(ids(found)) == ["a", "b", "c"]
        receiver.settle([Done(each) for each in found])


def test_what_nobody_asks_for_again_goes_back_to_the_broker(
    url: Url, open_transport: Open, message: Make, take: Take
) -> None:
    receiver, other = open_transport(url), open_transport(url)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, receiver, "a", "b", "c", limit=1, wait=20)
        time.sleep(0.2)
        other.send([message(queue, queue=queue) for queue in "abc"])
        found = waiting.result(20)
    while len(found) < 3:
        found += take(other, "a", "b", "c", wait=20)
    assert sorted(ids(found)) == ["a", "b", "c"]


def test_a_lapsed_loan_is_given_back_by_its_holder(url: Url, open_transport: Open, message: Make, take: Take) -> None:
    holder, other = open_transport(url), open_transport(url)
    holder.send([message("mine")])
    (loan,) = take(holder, lease=0.5)
    (back,) = take(other, wait=20)
    assert (back.message.id, back.receives) == ("mine", 2)
    assert [each.answer for each in holder.settle([Done(loan)])] == [Answer.LOST]
    assert [each.answer for each in holder.extend([loan], lease=5)] == [Answer.LOST]


def test_leases_end_by_the_clock_that_the_transport_was_given(url: Url, message: Make, take: Take, until: Until) -> None:
    clock = ManualClock()
    transport = RabbitmqTransport(Target.of(url), clock)
    transport.send([message("mine")])
    (loan,) = take(transport, lease=100)
    clock.advance(99)
    assert [each.answer for each in transport.extend([loan], lease=100)] == [Answer.YES]
    clock.advance(99)
    assert transport.depth(["q"])[0].ready == 0
    clock.advance(2)
    until(lambda: transport.depth(["q"])[0].ready == 1)
    assert [each.answer for each in transport.settle([Done(loan)])] == [Answer.LOST]
    transport.close()


def test_no_loan_outlives_max_lease(url: Url, open_transport: Open, message: Make, take: Take) -> None:
    """At the server's consumer_timeout the whole channel would go, with the loans of others: so nothing gets near it."""
    transport = open_transport(url.with_params(max_lease="60"))
    transport.send([message("long")])
    (loan,) = take(transport, lease=600)
    assert loan.lease_until - time.clock_gettime(time.CLOCK_BOOTTIME) <= 60
    refused = transport.extend([loan], lease=61)
    assert refused[0].answer is Answer.FAILED
    assert "max_lease" in refused[0].reason
    assert transport.extend([loan], lease=30)[0].answer is Answer.YES


def test_a_loan_of_another_transport_is_lost_here_and_lives_there(
    url: Url, open_transport: Open, message: Make, take: Take
) -> None:
    """Delivery tags are small numbers which mean something else on every channel."""
    first, second = open_transport(url), open_transport(url)
    first.send([message("a"), message("b")])
    (ours,), (theirs,) = take(first, limit=1), take(second, limit=1)
    assert second.settle([Done(ours)])[0].answer is Answer.LOST
    assert second.settle([Done(theirs)])[0].answer is Answer.YES
    assert first.settle([Done(ours)])[0].answer is Answer.YES


def test_a_deleted_queue_ends_the_wait_and_touches_no_other_loan(
    url: Url, open_transport: Open, message: Make, take: Take, channel: amqp.Channel
) -> None:
    transport = open_transport(url)
    transport.send([message("kept", queue="other")])
    (kept,) = take(transport, "other")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, transport, "q", wait=30)
        time.sleep(0.5)
        channel.queue_delete(Names(url.params["namespace"]).of("q"))
        assert waiting.result(10) == []
    assert transport.extend([kept], lease=30)[0].answer is Answer.YES
    assert take(transport, "q") == []  # it is made anew
    transport.send([message("anew")])
    assert ids(take(transport, "q")) == ["anew"]
    assert transport.settle([Done(kept)])[0].answer is Answer.YES


def test_many_receivers_at_once_share_without_loss_or_double_loans(
    url: Url, open_transport: Open, message: Make, take: Take
) -> None:
    total = 600
    open_transport(url).send([message(str(number)) for number in range(total)])

    def drain(limit: int) -> list[str]:
        transport, mine = open_transport(url), list[str]()
        while found := take(transport, limit=limit, wait=1.0):
            assert all(each.answer is Answer.YES for each in transport.settle([Done(one) for one in found]))
            mine += ids(found)
        return mine

    with ThreadPoolExecutor(4) as pool:
        seen = [name for part in pool.map(drain, (1, 10, 40, 200)) for name in part]
    assert sorted(seen, key=int) == [str(number) for number in range(total)]


def test_heartbeats_go_on_while_nobody_calls(url: Url, open_transport: Open, message: Make, take: Take) -> None:
    """They are sent by the connection's own thread: a handler that works for long keeps its loan."""
    transport = open_transport(url.with_params(heartbeat="1"))
    transport.send([message("long")])
    (loan,) = take(transport)
    time.sleep(4.5)
    assert transport.settle([Done(loan)])[0].answer is Answer.YES


def test_a_delivery_that_was_never_ours_is_lost(transport: RabbitmqTransport, message: Make, take: Take) -> None:
    transport.send([message("one")])
    (loan,) = take(transport)
    stranger = attrs.evolve(loan, receipt="a stranger's")
    assert transport.settle([Done(stranger)])[0].answer is Answer.LOST
    assert transport.extend([stranger, loan], lease=9)[1].answer is Answer.YES


@pytest.mark.parametrize("stopped", [True, False])
def test_stop_and_close_end_a_wait(url: Url, open_transport: Open, stopped: bool) -> None:
    transport, stop = open_transport(url), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(transport.receive, ["q"], limit=1, wait=60, lease=9, stop=stop)
        time.sleep(0.3)
        stop.set() if stopped else transport.close()
        error = waiting.exception(10)
    assert (error is None) is stopped
