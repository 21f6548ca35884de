"""The reference adapter. What it has in common with the others is tested by the contract suite; here is what is its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.clock import ManualClock
from jobkit.errors import Closed, ConfigurationError, TooLarge
from jobkit.memory import MemoryAdapter, MemoryStore, MemoryTransport
from jobkit.store import Expect, Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url

NEVER = threading.Event()


class Place:
    def __init__(self, query: str = "") -> None:
        self.clock = ManualClock()
        self.adapter = MemoryAdapter(self.clock)
        self.url = Url.parse(f"memory://{query}")
        self.transport: MemoryTransport = self.adapter.transport(self.url)
        self.store: MemoryStore = self.adapter.store(self.url)

    def send(self, name: str = "a", queue: str = "q", delay: float = 0.0) -> None:
        self.transport.send([Message(id=name, queue=queue, body=b"body", delay=delay)])

    def receive(self, *queues: str, limit: int = 10, lease: float = 60.0) -> list[Delivery]:
        return self.transport.receive(queues or ("q",), limit=limit, wait=0, lease=lease, stop=NEVER)

    def ids(self, *queues: str) -> list[str]:
        return [delivery.message.id for delivery in self.receive(*queues)]


@pytest.fixture
def place() -> Place:
    return Place()


def test_two_handles_on_one_namespace_share_all_and_two_namespaces_nothing(place: Place) -> None:
    place.send()
    other = place.adapter.transport(Url.parse("memory://?namespace=other"))
    same = place.adapter.transport(Url.parse("memory://"))
    assert other.receive(["q"], limit=1, wait=0, lease=1, stop=NEVER) == []
    assert len(same.receive(["q"], limit=1, wait=0, lease=1, stop=NEVER)) == 1


@pytest.mark.parametrize("query", ["?namespace=Not%20good", "?max_dealy=1", "?max_body=big"])
def test_wrong_options_are_refused_by_everything_that_takes_a_url(query: str) -> None:
    adapter, url = MemoryAdapter(), Url.parse(f"memory://{query}")
    calls: list[Callable[[Url], Any]] = [adapter.transport, adapter.store, adapter.check, adapter.teardown]
    calls.append(lambda given: adapter.setup(given, []))
    for call in calls:
        with pytest.raises(ConfigurationError):
            call(url)


def test_options_lower_what_is_declared_and_what_is_taken() -> None:
    place = Place("?max_delay=10&max_lease=20&max_body=30&max_value=40&atomic=no")
    declared = place.transport.capabilities
    assert (declared.max_delay, declared.max_lease, declared.max_body) == (10, 20, 30)
    assert not declared.atomic_again
    assert not declared.atomic_successors
    assert place.store.capabilities.max_value == 40
    with pytest.raises(ValueError, match="delay"):
        place.send(delay=11)
    with pytest.raises(TooLarge):
        place.transport.send([Message(id="a", queue="q", body=b"x" * 31)])
    with pytest.raises(TooLarge):
        place.store.put([Write(Key("c", "n"), b"x" * 41)])


def test_messages_come_in_the_order_of_queues_and_then_of_arrival(place: Place) -> None:
    for number in range(3):
        place.send(f"b{number}", "b")
        place.send(f"a{number}", "a")
    assert place.ids("a", "b") == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_delayed_message_is_due_at_its_time_and_not_before(place: Place) -> None:
    place.send(delay=10)
    place.clock.advance(9.9)
    assert place.ids() == []
    place.clock.advance(0.1)
    assert place.ids() == ["a"]


def test_a_lapsed_loan_comes_again_counted_and_its_old_holder_is_fenced(place: Place) -> None:
    place.send()
    [first] = place.receive(lease=10)
    place.clock.advance(10)
    assert place.transport.settle([Done(first)])[0].answer is Answer.LOST
    [second] = place.receive(lease=10)
    assert (first.receives, second.receives) == (1, 2)
    assert place.transport.extend([first], lease=5)[0].answer is Answer.LOST
    assert place.transport.settle([Done(second)])[0].answer is Answer.YES
    assert place.receive() == []


@pytest.mark.parametrize("leases", [[60.0], [60.0, 60.0], [10.0], [90.0, 60.0], [10.0, 60.0, 10.0]])
def test_a_loan_extended_to_the_same_instant_comes_back_once(place: Place, leases: list[float]) -> None:
    """Several entries of one job may then surface at once, with nothing to tell them apart."""
    place.send()
    [delivery] = place.receive(lease=60)
    for lease in leases:
        assert place.transport.extend([delivery], lease=lease)[0].answer is Answer.YES
    place.clock.advance(max(60, *leases) if len(leases) > 1 else 60)
    assert place.ids() == ["a"]
    assert place.ids() == []


def test_again_counts_anew_and_takes_the_new_body_and_delay(place: Place) -> None:
    place.send()
    [delivery] = place.receive()
    place.transport.settle([Again(delivery, Message(id="a", queue="q", body=b"new", delay=5))])
    assert place.receive() == []
    place.clock.advance(5)
    [again] = place.receive()
    assert (again.receives, again.message.body) == (1, b"new")


def test_again_under_another_name_settles_nothing(place: Place) -> None:
    place.send()
    [delivery] = place.receive()
    with pytest.raises(ValueError, match="keeps the message's id"):
        place.transport.settle([Done(delivery), Again(delivery, Message(id="b", queue="q", body=b""))])
    assert place.transport.settle([Done(delivery)])[0].answer is Answer.YES


def test_a_living_id_sent_again_makes_no_second_copy_and_a_settled_one_does(place: Place) -> None:
    place.send()
    place.send()
    [delivery] = place.receive()
    place.send()
    assert place.receive() == []
    place.transport.settle([Done(delivery)])
    place.send()
    assert place.ids() == ["a"]


def test_depth_tells_ready_delayed_and_leased_apart(place: Place) -> None:
    place.send("a")
    place.send("b")
    place.send("c", delay=100)
    place.clock.advance(5)
    place.receive(limit=1, lease=10)
    [depth] = place.transport.depth(["q"])
    assert (depth.ready, depth.delayed, depth.leased, depth.oldest_age) == (1, 1, 1, 5)
    place.clock.advance(10)
    [depth] = place.transport.depth([])
    assert (depth.ready, depth.delayed, depth.leased) == (2, 1, 0)


def test_purge_leaves_what_is_on_loan_and_counts_the_rest(place: Place) -> None:
    for name in "abc":
        place.send(name)
    place.send("d", delay=10)
    [lent] = place.receive(limit=1)
    assert place.transport.purge("q") == 3
    place.clock.advance(20)
    assert place.receive() == []
    assert place.transport.settle([Done(lent)])[0].answer is Answer.YES


def test_a_waiting_receive_is_woken_by_a_send_by_stop_and_by_close() -> None:
    adapter, url = MemoryAdapter(), Url.parse("memory://")
    transport, stop = adapter.transport(url), threading.Event()
    for wake in (
        lambda: transport.send([Message(id="a", queue="q", body=b"")]),
        stop.set,
        transport.close,
    ):
        stop.clear()
        ended = threading.Event()

        def wait(ended: threading.Event = ended) -> None:
            with contextlib.suppress(Closed):
                transport.receive(["q"], limit=1, wait=30, lease=60, stop=stop)
            ended.set()

        thread = threading.Thread(target=wait)
        thread.start()
        wake()
        assert ended.wait(2)
        thread.join()


def test_what_is_closed_says_so_and_leaves_other_handles_alone(place: Place) -> None:
    place.send()
    other = place.adapter.transport(place.url)
    place.transport.close()
    place.transport.close()
    place.store.close()
    with pytest.raises(Closed):
        place.receive()
    with pytest.raises(Closed):
        place.store.get([])
    assert len(other.receive(["q"], limit=1, wait=0, lease=1, stop=NEVER)) == 1


def test_of_two_writers_with_one_version_one_wins(place: Place) -> None:
    key = Key("c", "n")
    [first] = place.store.put([Write(key, b"1", Expect.ABSENT)])
    assert first.version is not None
    answers = [place.store.put([Write(key, value, first.version)])[0].answer for value in (b"2", b"3")]
    assert answers == [Answer.YES, Answer.LOST]
    [found] = place.store.get([key])
    assert found is not None
    assert found.value == b"2"


def test_an_expired_record_is_absent_everywhere(place: Place) -> None:
    place.store.put([Write(Key("c", "n"), b"1", ttl=10), Write(Key("c", "o"), b"1")])
    place.clock.advance(10)
    assert place.store.get([Key("c", "n")]) == [None]
    assert [name for name, _ in place.store.scan("c", limit=10)] == ["o"]
    assert place.store.count("c", limit=10) == 1
    assert place.store.put([Write(Key("c", "n"), b"2", Expect.ABSENT)])[0].answer is Answer.YES


def test_a_version_never_recurs_even_after_a_delete(place: Place) -> None:
    key, seen = Key("c", "n"), set()
    for _ in range(5):
        [written] = place.store.put([Write(key, b"same")])
        seen.add(written.version)
        place.store.put([Write(key, None)])
    assert len(seen) == 5


def test_scan_goes_by_the_bytes_of_names_in_both_directions(place: Place) -> None:
    names = ["a", "b", "Z", "ä", "é", "\U0001f600", "\uffee"]
    place.store.put([Write(Key("c", name), b"") for name in names])
    expected = sorted(names, key=lambda name: name.encode())
    assert [name for name, _ in place.store.scan("c", limit=10)] == expected
    assert [name for name, _ in place.store.scan("c", limit=10, reverse=True)] == expected[::-1]
    assert [name for name, _ in place.store.scan("c", after="b", limit=2)] == expected[3:5]
    assert [name for name, _ in place.store.scan("c", after="b", limit=10, reverse=True)] == ["a", "Z"]


def test_teardown_forgets_messages_and_records(place: Place) -> None:
    place.send()
    place.store.put([Write(Key("c", "n"), b"1")])
    place.adapter.teardown(place.url)
    assert place.adapter.transport(place.url).depth(["q"])[0].ready == 0
    assert place.adapter.store(place.url).get([Key("c", "n")]) == [None]


def test_check_says_that_nothing_is_kept(place: Place) -> None:
    [finding] = place.adapter.check(place.url)
    assert finding.level == "warning"
    assert "memory" in finding.what
