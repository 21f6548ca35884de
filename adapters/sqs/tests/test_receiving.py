"""Several queues at once: short looks in order, long polls side by side, and nothing kept that nobody takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobkit.clock import ManualClock, steady
from jobkit.errors import Closed, SetupRequired, Unavailable
from jobkit.transport import Delivery, Done, Message
from jobkit_sqs.polls import Polls
from jobkit_sqs.testing.faults import Faulty, unreachable
from jobkit_sqs.transport import SqsTransport

Open = Callable[..., SqsTransport]
Take = Callable[..., list[Delivery]]
Make = Callable[..., Message]

ALL = ("q--high", "q", "q--low")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def await_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("queue", ALL)
def test_a_waiting_receiver_wakes_for_each_of_its_queues(
    queue: str, transport: SqsTransport, open_transport: Open, take: Take, threads: ThreadPoolExecutor, message: Make
) -> None:
    waiting = threads.submit(lambda: (take(transport, *ALL, wait=60), steady()))
    time.sleep(0.3)
    sent = steady()
    open_transport().send([message("a", queue=queue)])
    deliveries, woken = waiting.result(60)
    assert [delivery.message.queue for delivery in deliveries] == [queue]
    assert woken - sent < 20


def test_the_first_queue_is_emptied_before_the_others_are_asked(
    open_transport: Open, faulty: Faulty, take: Take, message: Make
) -> None:
    transport = open_transport(wrap=faulty.wrap)
    transport.send([message(f"{queue} {number}", queue=queue) for queue in ALL for number in range(12)])
    assert {delivery.message.queue for delivery in take(transport, *ALL, limit=12)} == {"q--high"}
    assert {parameters["QueueUrl"][-6:] for parameters in faulty.asked("receive_message")} == {"--high"}
    assert {delivery.message.queue for delivery in take(transport, *ALL, limit=20)} == {"q", "q--low"}


def test_many_are_received_in_two_rounds_of_requests(
    open_transport: Open, faulty: Faulty, take: Take, message: Make
) -> None:
    transport = open_transport(wrap=faulty.wrap, options={"parallel": "1"})
    transport.send([message(f"{number}") for number in range(35)])
    assert len({delivery.message.id for delivery in take(transport, limit=35)}) == 35
    assert [parameters["MaxNumberOfMessages"] for parameters in faulty.asked("receive_message")] == [10, 10, 10, 5]


def test_an_idle_queue_costs_a_request_per_poll(open_transport: Open, faulty: Faulty, take: Take) -> None:
    """Two polls of two seconds each after the first look; a busy machine may need one more."""
    transport = open_transport(wrap=faulty.wrap)
    begun = steady()
    assert take(transport, "q", "q--low", wait=4) == []
    assert steady() - begun >= 4
    waits = [parameters["WaitTimeSeconds"] for parameters in faulty.asked("receive_message")]
    assert waits[:4] == [0, 0, 2, 2]
    assert len(waits) <= 10


def test_stop_ends_the_wait_and_what_then_comes_goes_back_to_the_others(
    open_transport: Open, faulty: Faulty, take: Take, threads: ThreadPoolExecutor, message: Make
) -> None:
    """The long poll goes on for a while, and may still be handed a message; it must not keep it."""
    stopping, other = open_transport(wrap=faulty.wrap, options={"poll": "5"}), open_transport()
    stop = threading.Event()

    def wait() -> float:
        stopping.receive(["q"], limit=1, wait=60, lease=600, stop=stop)
        return steady()

    waiting = threads.submit(wait)
    await_until(lambda: any(asked["WaitTimeSeconds"] for asked in faulty.asked("receive_message")))
    stopped = steady()
    stop.set()
    assert waiting.result(30) - stopped < 5
    other.send([message("late")])
    (delivery,) = take(other, wait=20)
    assert other.settle([Done(delivery)])[0].answer.value == "yes"


def test_what_a_poll_brought_is_offered_to_the_next_receive(
    transport: SqsTransport, open_transport: Open, take: Take, threads: ThreadPoolExecutor, message: Make
) -> None:
    waiting = threads.submit(lambda: take(transport, "q--high", "q", wait=30, limit=1))
    time.sleep(0.5)
    open_transport().send([message("1"), message("2", queue="q--high")])
    seen = [delivery.message.id for delivery in waiting.result(30)]
    while len(seen) < 2:
        seen += [delivery.message.id for delivery in take(transport, "q--high", "q", wait=5)]
    assert sorted(seen) == ["1", "2"]


def test_close_ends_a_waiting_receive_and_leaves_nothing_on_loan(
    transport: SqsTransport, open_transport: Open, take: Take, threads: ThreadPoolExecutor, message: Make
) -> None:
    waiting = threads.submit(lambda: take(transport, *ALL, wait=60, lease=600))
    time.sleep(0.5)
    transport.close()
    with pytest.raises(Closed):
        waiting.result(20)
    other = open_transport()
    other.send([message("after")])
    assert [delivery.receives for delivery in take(other, wait=10)] == [1]


def test_a_missing_queue_is_named_before_any_waiting(transport: SqsTransport, take: Take) -> None:
    with pytest.raises(SetupRequired, match="nowhere"):
        take(transport, "q", "nowhere", wait=30)


def test_a_poll_that_fails_is_told_to_the_receiver(open_transport: Open, faulty: Faulty, take: Take) -> None:
    transport = open_transport(wrap=faulty.wrap)
    faulty.fault("receive_message", lambda operation, parameters: operation(**parameters))
    faulty.fault("receive_message", unreachable)
    with pytest.raises(Unavailable):
        take(transport, wait=30)
    assert take(transport) == []


def test_a_strangers_message_is_handed_out(
    transport: SqsTransport, sqs: Any, queue_url: Callable[[str], str], take: Take
) -> None:
    """Whatever lies in the queue comes out: left in there, it would go round for 14 days unseen."""
    sent = sqs.send_message(QueueUrl=queue_url("q"), MessageBody='{"from": "elsewhere"}')
    (delivery,) = take(transport)
    assert (delivery.message.id, delivery.message.body) == (sent["MessageId"], b'{"from": "elsewhere"}')
    assert transport.settle([Done(delivery)])[0].answer.value == "yes"


def _delivery(name: str, until: float = 1000.0) -> Delivery:
    return Delivery(message=Message(id=name, queue="q", body=b""), receives=1, lease_until=until, receipt=None)


def test_an_offer_that_nobody_takes_is_given_back() -> None:
    clock = ManualClock()
    returned: list[Delivery] = []
    arrived = threading.Event()

    def receive(queue: str, most: int, seconds: int, lease: float) -> list[Delivery]:
        arrived.wait(20)
        return [_delivery("1"), _delivery("2")]

    polls = Polls(receive, returned.extend, clock, longest=5)
    stop = threading.Event()
    stop.set()
    polls.wait([("q", 30.0)], 10, 20, stop)
    arrived.set()
    await_until(lambda: "_offers" in vars(polls) and vars(polls)["_offers"])
    assert [delivery.message.id for delivery in polls.take(("q", 30.0), 1)] == ["1"]
    clock.advance(1.01)
    await_until(lambda: returned)
    assert [delivery.message.id for delivery in returned] == ["2"]
    assert polls.take(("q", 30.0), 10) == []
    polls.close()


def test_an_offer_is_for_whoever_asks_for_the_same_lease() -> None:
    polls = Polls(lambda *_: [_delivery("1")], lambda _: None, ManualClock(), longest=5)
    polls.wait([("q", 30.0)], 10, 20, threading.Event())
    assert polls.take(("q", 60.0), 10) == []
    assert len(polls.take(("q", 30.0), 10)) == 1
    polls.close()


def test_all_polls_together_bring_no_more_than_was_declared() -> None:
    asked: list[int] = []
    over = threading.Event()

    def receive(queue: str, most: int, seconds: int, lease: float) -> list[Delivery]:
        asked.append(most)
        over.wait(20)
        return []

    polls = Polls(receive, lambda _: None, ManualClock(), longest=5)
    stop = threading.Event()
    stop.set()
    polls.wait([(f"q{number}", 30.0) for number in range(300)], 200, 20, stop)
    await_until(lambda: sum(asked) == 100)
    over.set()
    polls.close()
    assert sum(asked) == 100


def test_a_lease_counts_from_when_the_reply_was_written(open_transport: Open, faulty: Faulty, take: Take) -> None:
    """A process that was frozen in a long poll reads a reply of long ago: its loans have lapsed, and are not handed out."""
    clock = ManualClock()
    transport = open_transport(wrap=faulty.wrap, clock=clock)
    answered = threading.Event()

    def frozen(operation: Any, parameters: dict[str, Any]) -> Any:
        reply = dict(operation(**{**parameters, "WaitTimeSeconds": 0}))
        reply["Messages"] = [{"MessageId": "m", "ReceiptHandle": "h", "Body": "x"}]
        clock.advance(60)  # nothing moves the date in the reply
        answered.set()
        return reply

    faulty.fault("receive_message", lambda operation, parameters: operation(**parameters))
    faulty.fault("receive_message", frozen)
    assert take(transport, wait=59, lease=30) == []
    assert answered.is_set()
