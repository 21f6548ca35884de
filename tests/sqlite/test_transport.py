"""jobkit/sqlite/transport.py: the promises that are kept inside one process."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from jobkit.clock import ManualClock
from jobkit.errors import Closed, TooLarge
from jobkit.sqlite.transport import SqliteTransport
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url

from .conftest import Open

NEVER = threading.Event()
YES, LOST = Answer.YES, Answer.LOST


def message(name: str, body: bytes = b"body", queue: str = "q", delay: float = 0.0) -> Message:
    return Message(id=name, queue=queue, body=body, delay=delay)


def receive(
    transport: SqliteTransport, *queues: str, limit: int = 100, wait: float = 0.0, lease: float = 60.0
) -> list[Delivery]:
    return transport.receive(queues or ["q"], limit=limit, wait=wait, lease=lease, stop=NEVER)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def timed(open_transport: Open, clock: ManualClock) -> SqliteTransport:
    """A transport whose clock the test moves."""
    return open_transport(clock=clock)


@pytest.mark.parametrize("body", [b"", bytes(range(256)), "Grüße \U0001f600".encode(), b"\0", b"x" * 1_000_000])
def test_a_body_comes_out_byte_for_byte(transport: SqliteTransport, body: bytes) -> None:
    transport.send([message("a", body)])
    assert receive(transport)[0].message == message("a", body)


def test_the_oldest_come_first_and_the_first_queue_before_the_second(transport: SqliteTransport) -> None:
    transport.send([message("3", queue="low"), message("1"), message("2"), message("4", queue="low")])
    assert ids(receive(transport, "q", "low", limit=3)) == ["1", "2", "3"]
    assert ids(receive(transport, "q", "low", limit=3)) == ["4"]


def test_a_batch_of_any_size_is_answered_one_by_one_and_kept_in_order(transport: SqliteTransport) -> None:
    names = [f"{number:05d}" for number in range(5000)]
    answers = transport.send([message(name) for name in names])
    assert [answer.answer for answer in answers] == [YES] * 5000
    assert ids(receive(transport, limit=5000)) == names


def test_sending_a_living_id_again_makes_no_second_copy_even_while_it_is_on_loan(transport: SqliteTransport) -> None:
    transport.send([message("a", b"first"), message("a", b"second")])
    (delivery,) = receive(transport)
    transport.send([message("a", b"third")])
    assert receive(transport) == []
    assert delivery.message.body == b"first"
    transport.settle([Done(delivery)])
    transport.send([message("a", b"fourth")])
    assert receive(transport)[0].message.body == b"fourth"


def test_a_lapsed_lease_makes_the_message_due_again_and_counts_the_receive(
    timed: SqliteTransport, clock: ManualClock
) -> None:
    timed.send([message("a")])
    assert receive(timed, lease=5)[0].receives == 1
    assert receive(timed) == []
    clock.advance(5.01)
    assert receive(timed)[0].receives == 2


def test_whoever_lost_the_lease_can_change_nothing(timed: SqliteTransport, clock: ManualClock) -> None:
    timed.send([message("a")])
    (late,) = receive(timed, lease=5)
    clock.advance(5.01)
    (holder,) = receive(timed, lease=60)
    for settlement in (Done(late, [message("b")]), Again(late, message("a", b"new"))):
        assert timed.settle([settlement])[0].answer is LOST
    assert timed.extend([late], lease=60)[0].answer is LOST
    assert receive(timed) == []
    assert timed.settle([Done(holder)])[0].answer is YES


def test_a_lapsed_lease_is_lost_even_if_nobody_has_taken_the_message_since(
    timed: SqliteTransport, clock: ManualClock
) -> None:
    timed.send([message("a")])
    (late,) = receive(timed, lease=5)
    clock.advance(5.01)
    assert timed.extend([late], lease=60)[0].answer is LOST
    for settlement in (Done(late), Again(late, message("a", b"new"))):
        assert timed.settle([settlement])[0].answer is LOST
    (delivery,) = receive(timed)
    assert (delivery.message.body, delivery.receives) == (b"body", 2)


def test_extending_keeps_a_message_with_its_holder_for_many_leases(timed: SqliteTransport, clock: ManualClock) -> None:
    timed.send([message("a")])
    (delivery,) = receive(timed, lease=5)
    for _ in range(12):
        clock.advance(4)
        assert timed.extend([delivery, delivery], lease=5)[0].answer is YES
        assert receive(timed) == []
    assert timed.settle([Done(delivery)])[0].answer is YES


def test_settling_twice_is_harmless_within_a_batch_and_after_it(transport: SqliteTransport) -> None:
    transport.send([message("a"), message("b")])
    first, second = receive(transport)
    answers = transport.settle([Done(first, [message("c")]), Done(first, [message("d")]), Done(second)])
    assert [answer.answer for answer in answers] == [YES, LOST, YES]
    assert transport.settle([Done(first, [message("e")])])[0].answer is LOST
    assert ids(receive(transport)) == ["c"]


def test_of_two_settlements_of_one_loan_in_a_batch_the_first_counts(transport: SqliteTransport) -> None:
    transport.send([message("a")])
    (delivery,) = receive(transport)
    answers = transport.settle([Again(delivery, message("a", b"new")), Done(delivery)])
    assert [answer.answer for answer in answers] == [YES, LOST]
    assert receive(transport)[0].message.body == b"new"


def test_again_brings_the_message_back_once_with_its_new_body_and_not_early(
    timed: SqliteTransport, clock: ManualClock
) -> None:
    timed.send([message("a", b"old")])
    (delivery,) = receive(timed, lease=1)
    assert timed.settle([Again(delivery, message("a", b"new", delay=10))])[0].answer is YES
    clock.advance(9.9)
    assert receive(timed) == []
    clock.advance(0.2)
    (again,) = receive(timed)
    assert (again.message.body, again.receives) == (b"new", 1)
    assert timed.settle([Done(delivery)])[0].answer is LOST


def test_again_keeps_id_and_queue(transport: SqliteTransport) -> None:
    transport.send([message("a")])
    (delivery,) = receive(transport)
    for other in (message("b"), message("a", queue="other")):
        with pytest.raises(ValueError, match="keeps"):
            transport.settle([Again(delivery, other)])
    assert transport.settle([Done(delivery)])[0].answer is YES


def test_a_successor_may_bear_the_id_of_the_job_that_ended(transport: SqliteTransport) -> None:
    transport.send([message("a", b"first")])
    (delivery,) = receive(transport)
    transport.settle([Done(delivery, [message("a", b"second")])])
    (successor,) = receive(transport)
    assert (successor.message.body, successor.receives) == (b"second", 1)


def test_settling_one_of_a_batch_leaves_the_others_on_loan(transport: SqliteTransport) -> None:
    transport.send([message(name) for name in "abc"])
    first, second, third = receive(transport)
    transport.settle([Done(second)])
    assert transport.depth(["q"])[0].leased == 2
    assert [answer.answer for answer in transport.extend([first, second, third], lease=60)] == [YES, LOST, YES]


def test_a_batch_may_hold_loans_of_several_receives(transport: SqliteTransport) -> None:
    transport.send([message(name) for name in "abcd"])
    loans = [delivery for _ in range(4) for delivery in receive(transport, limit=1)]
    forged = attrs.evolve(loans[0], receipt=loans[1].receipt)
    transport.settle([Done(loans[1])])
    answers = transport.settle([Done(forged), Done(loans[3]), Done(loans[0])])
    assert [answer.answer for answer in answers] == [LOST, YES, YES]
    assert transport.extend(loans, lease=60)[2].answer is YES


def test_a_month_of_delay_is_kept_and_a_short_one_does_not_wait_behind_it(
    timed: SqliteTransport, clock: ManualClock
) -> None:
    month = timedelta(days=30).total_seconds()
    timed.send([message("long", delay=month), message("short", delay=1.5)])
    clock.advance(1.4)
    assert receive(timed) == []
    clock.advance(0.2)
    (short,) = receive(timed)
    assert short.message.id == "short"
    timed.settle([Done(short)])
    clock.advance(month - 2)
    assert receive(timed) == []
    clock.advance(1)
    assert ids(receive(timed)) == ["long"]


def test_leases_and_delays_do_not_ask_the_wall_clock(url: Url, open_transport: Open) -> None:
    class Skewed(ManualClock):
        """The same steady clock beside a wall clock that is a day off."""

    clock, skewed = ManualClock(), Skewed(ManualClock().now() + timedelta(days=1))
    here, there = open_transport(clock=clock), open_transport(clock=skewed)
    here.send([message("a"), message("b", delay=5)])
    (delivery,) = receive(here, lease=10)
    for each in (clock, skewed):
        each.advance(4)
    assert receive(there) == []
    assert there.extend([delivery], lease=10)[0].answer is YES


def test_depth_tells_ready_delayed_and_leased_apart_and_changes_nothing(timed: SqliteTransport, clock: ManualClock) -> None:
    timed.send([message("a"), message("b", delay=5), message("c", delay=100), message("d"), message("x", queue="other")])
    receive(timed, limit=1, lease=6)
    clock.advance(10)
    for _ in range(2):
        depth, other = timed.depth(["q", "other"])
        assert (depth.ready, depth.delayed, depth.leased) == (3, 1, 0)
        assert depth.oldest_age == pytest.approx(10)
        assert other.ready == 1
    assert [depth.queue for depth in timed.depth([])] == ["other", "q"]
    assert timed.depth(["empty"])[0].oldest_age is None


def test_purge_removes_ready_delayed_and_lapsed_messages_of_its_queue_and_no_loans(
    timed: SqliteTransport, clock: ManualClock
) -> None:
    timed.send([message(name) for name in "ab"])
    receive(timed, limit=1, lease=1)
    (kept,) = receive(timed, limit=1, lease=60)
    timed.send([message("c", delay=5), message("d"), message("e", queue="q2")])
    clock.advance(2)
    assert timed.purge("q") == 3
    assert timed.settle([Done(kept)])[0].answer is YES
    assert [(depth.queue, depth.ready) for depth in timed.depth([])] == [("q2", 1)]


def test_what_is_too_large_or_misnamed_is_refused_before_the_file_is_touched(
    transport: SqliteTransport, tmp_path: Path
) -> None:
    with pytest.raises(TooLarge):
        transport.send([message("a"), message("b", b"x" * (transport.capabilities.max_body + 1))])
    for wrong in (message("a", queue="no spaces"), message("a", delay=-1), message("a", delay=1e12)):
        with pytest.raises(ValueError, match="allowed"):
            transport.send([wrong])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("namespace", ["a", "a_job", "sqlite", "sqlite_x", "select", "a" * 40])
def test_two_namespaces_in_one_file_share_nothing(url: Url, open_transport: Open, namespace: str) -> None:
    mine, other = open_transport(url.with_params(namespace=namespace)), open_transport()
    mine.send([message("a", b"mine")])
    other.send([message("a", b"other")])
    assert receive(mine)[0].message.body == b"mine"
    assert other.purge("q") == 1
    assert mine.depth([])[0].leased == 1


def test_an_empty_receive_returns_after_its_wait_and_a_wait_of_zero_only_looks(transport: SqliteTransport) -> None:
    begin = time.monotonic()
    assert receive(transport, wait=0.3) == []
    assert time.monotonic() - begin >= 0.3
    assert receive(transport) == []


def test_a_message_sent_meanwhile_ends_the_wait(transport: SqliteTransport) -> None:
    sender = threading.Timer(0.05, transport.send, [[message("a")]])
    sender.start()
    assert ids(receive(transport, wait=30)) == ["a"]
    sender.join()


def test_a_delay_or_a_lease_that_ends_meanwhile_ends_the_wait(transport: SqliteTransport) -> None:
    transport.send([message("a", delay=0.1), message("b", queue="leased")])
    receive(transport, "leased", lease=0.1)
    assert ids(receive(transport, "q", wait=30)) == ["a"]
    assert ids(receive(transport, "leased", wait=30)) == ["b"]


def test_stop_ends_the_wait(transport: SqliteTransport) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    begin = time.monotonic()
    assert transport.receive(["q"], limit=1, wait=30, lease=60, stop=stop) == []
    assert time.monotonic() - begin < 10
    timer.join()


def test_close_ends_waits_may_be_repeated_and_everything_after_it_raises_closed(transport: SqliteTransport) -> None:
    transport.send([message("a", queue="other")])
    (delivery,) = receive(transport, "other")
    timer = threading.Timer(0.05, transport.close)
    timer.start()
    with pytest.raises(Closed):
        receive(transport, wait=30)
    timer.join()
    transport.close()
    for use in (
        lambda: transport.send([message("a")]),
        lambda: transport.send([]),
        lambda: receive(transport),
        lambda: transport.settle([Done(delivery)]),
        lambda: transport.extend([delivery], lease=1),
        lambda: transport.depth([]),
        lambda: transport.purge("q"),
        lambda: transport.statements([message("a")], [], []),
    ):
        with pytest.raises(Closed):
            use()
