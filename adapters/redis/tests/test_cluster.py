"""A cluster: keys on several servers, slots that move, servers that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis.crc import key_slot

from jobkit.errors import ConfigurationError, Unavailable
from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.keys import Keys
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Eventually = Callable[[Callable[[], object]], None]

QUEUES = [f"queue{number}" for number in range(12)]


@pytest.fixture
def url(cluster: Any) -> Iterator[Url]:
    found = cluster.url(namespace="cluster_tests")
    yield found
    adapter.teardown(found)


@pytest.fixture
def transport(url: Url) -> Iterator[RedisTransport]:
    with closing(adapter.transport(url)) as opened:
        yield opened


def owner(queue: str, namespace: str = "cluster_tests") -> int:
    """The number of the master that holds *queue*."""
    return key_slot(Keys(namespace).wake(queue).encode()) * 3 // 16384


def one_queue_on_each(namespace: str = "cluster_tests") -> list[str]:
    return [next(queue for queue in QUEUES if owner(queue, namespace) == number) for number in range(3)]


def test_all_keys_of_a_queue_and_of_a_collection_share_a_slot() -> None:
    keys = Keys("jobkit")
    for together in (keys.of_queue("email"), keys.of_collection("things"), [keys.layout, keys.queues]):
        assert len({key_slot(key.encode()) for key in together}) == 1
    assert len({key_slot(keys.wake(queue).encode()) for queue in QUEUES}) > 6


def test_a_batch_spreads_over_the_servers_and_is_answered_in_order(
    transport: RedisTransport, cluster: Any, message: Make, take: Take
) -> None:
    batch = [message(f"{queue}-{number}", queue=queue) for number in range(5) for queue in QUEUES]
    answers = transport.send([*batch, message("\ud800"), *batch[:2]])
    expected = [Answer.YES] * len(batch) + [Answer.FAILED] + [Answer.YES] * 2
    assert [each.answer for each in answers] == expected
    assert all(count > 0 for count in cluster.on_each("DBSIZE"))
    found = take(transport, *QUEUES, limit=100)
    assert [each.message.queue for each in found] == [queue for queue in QUEUES for _ in range(5)]
    assert {each.answer for each in transport.extend(found, lease=30)} == {Answer.YES}
    assert {each.answer for each in transport.settle([Done(each) for each in found])} == {Answer.YES}
    assert [each.leased for each in transport.depth([])] == [0] * len(QUEUES)


def test_the_first_queues_come_first_and_the_limit_is_kept(transport: RedisTransport, message: Make, take: Take) -> None:
    first, second, third = one_queue_on_each()
    transport.send([message(f"{queue}-{number}", queue=queue) for queue in (third, second, first) for number in range(3)])
    assert [each.message.queue for each in take(transport, second, first, third, limit=5)] == [second] * 3 + [first] * 2


def test_successors_on_other_servers_are_sent_once(transport: RedisTransport, message: Make, take: Take) -> None:
    """Two settlements of the same loan send the successors of the first only, and one that is over sends none."""
    first, second, third = one_queue_on_each()
    transport.send([message("a", queue=first), message("b", queue=first), message("c", queue=first)])
    a, b, c = take(transport, first)
    transport.settle([Done(c)])
    answers = transport.settle(
        [
            Done(a, (message("next", queue=second), message("same", queue=first))),
            Done(a, (message("wrong", queue=third),)),
            Again(b, message("b", b"again", queue=first)),
            Done(c, (message("wrong too", queue=third),)),
        ]
    )
    assert [each.answer for each in answers] == [Answer.YES, Answer.LOST, Answer.YES, Answer.LOST]
    assert sorted(each.message.id for each in take(transport, first, second, third)) == ["b", "next", "same"]


def test_a_waiting_receiver_is_woken_from_any_server(
    transport: RedisTransport, url: Url, message: Make, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_redis.transport.LONGEST_LOOK", 90.0)
    with closing(adapter.transport(url)) as other:
        for queue in one_queue_on_each():
            found: list[Delivery] = []
            thread = threading.Thread(target=lambda found=found: found.extend(take(other, *QUEUES, wait=90)), daemon=True)
            thread.start()
            threading.Event().wait(0.3)
            transport.send([message("a", queue=queue)])
            thread.join(30)
            assert [each.message.queue for each in found] == [queue]


def test_any_server_may_be_named_and_the_others_are_found(cluster: Any, transport: RedisTransport, message: Make) -> None:
    transport.send([message(queue, queue=queue) for queue in QUEUES])
    for number in range(3):
        with closing(adapter.transport(cluster.url(number, namespace="cluster_tests"))) as other:
            assert [each.ready for each in other.depth(QUEUES)] == [1] * len(QUEUES)


def test_records_of_many_collections_spread_and_are_read_in_order(url: Url) -> None:
    keys = [Key(f"things{number}", name) for name in "ab" for number in range(12)]
    with closing(adapter.store(url)) as store:
        assert {each.answer for each in store.put([Write(key, repr(key).encode()) for key in keys])} == {Answer.YES}
        assert [record and record.value for record in store.get(keys)] == [repr(key).encode() for key in keys]


def test_teardown_removes_the_namespace_from_every_server_and_no_other(cluster: Any, message: Make) -> None:
    urls = [cluster.url(namespace=name) for name in ("leaving", "leaving_not")]
    for url in urls:
        with closing(adapter.transport(url)) as transport, closing(adapter.store(url)) as store:
            transport.send([message(queue, queue=queue) for queue in QUEUES])
            store.put([Write(Key("things", "a"), b"1")])
    adapter.teardown(urls[0])
    assert [key for keys in cluster.on_each("KEYS", "{leaving:*") for key in keys] == []
    assert sum(len(keys) for keys in cluster.on_each("KEYS", "{leaving_not:*")) > len(QUEUES)
    adapter.teardown(urls[1])


def test_a_url_that_does_not_know_the_cluster_is_told_so(cluster: Any, own: Any) -> None:
    with pytest.raises(ConfigurationError, match="add cluster=true"):
        adapter.transport(cluster.servers[0].url()).depth([])
    with pytest.raises(ConfigurationError, match="drop cluster=true"):
        adapter.transport(own.url(cluster="true")).depth([])


class Move:
    """A slot on its way from one server to another, and back again at the end: the other tests count on its place."""

    def __init__(self, cluster: Any, key: str) -> None:
        self.slot = key_slot(key.encode())
        number = self.slot * 3 // 16384
        self._from, self._to = (cluster.servers[place % 3] for place in (number, number + 1))
        self._clients = [server.client() for server in (self._from, self._to)]
        self._ids = [client.execute_command("CLUSTER MYID").decode() for client in self._clients]

    def begin(self) -> None:
        source, target = self._clients
        target.execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", self._ids[0])
        source.execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", self._ids[1])

    def carry(self) -> None:
        """Every key of the slot."""
        for key in self._clients[0].execute_command("CLUSTER GETKEYSINSLOT", self.slot, 1000):
            self._clients[0].execute_command("MIGRATE", "127.0.0.1", self._to.port, key, 0, 5000)

    def end(self) -> None:
        for client in reversed(self._clients):
            client.execute_command("CLUSTER SETSLOT", self.slot, "NODE", self._ids[1])

    def close(self) -> None:
        self._clients.reverse()
        self._ids.reverse()
        self._from, self._to = self._to, self._from
        self.begin()
        self.carry()
        self.end()
        for client in self._clients:
            client.close()


@pytest.fixture
def move(cluster: Any) -> Iterator[Callable[[str], Move]]:
    with ExitStack() as stack:
        yield lambda key: stack.enter_context(closing(Move(cluster, key)))


def test_a_queue_whose_slot_is_moving_is_unavailable_and_then_followed(
    move: Callable[[str], Move], transport: RedisTransport, message: Make, take: Take
) -> None:
    """The servers refuse commands on several keys of which some are elsewhere, or nowhere, until the slot has moved."""
    queue = one_queue_on_each()[0]
    transport.send([message("before", queue=queue)])
    moving = move(Keys("cluster_tests").wake(queue))
    moving.begin()
    moving.carry()
    with pytest.raises(Unavailable):
        transport.send([message("between", queue=queue)])
    with pytest.raises(Unavailable):
        take(transport, queue)
    moving.end()
    assert transport.send([message("moved", queue=queue)])[0].answer is Answer.YES
    assert [each.message.id for each in take(transport, queue)] == ["before", "moved"]


def test_a_key_that_has_gone_ahead_of_its_slot_is_asked_for_where_it_is(
    move: Callable[[str], Move], transport: RedisTransport, url: Url, message: Make
) -> None:
    transport.send([message("a", queue="queue1")])
    moving = move(Keys("cluster_tests").layout)
    moving.begin()
    moving.carry()
    with closing(adapter.transport(url)) as other:
        assert [each.queue for each in other.depth([])] == ["queue1"]
        moving.end()
        assert [each.queue for each in other.depth([])] == ["queue1"]


@pytest.fixture
def fragile(new_cluster: Callable[..., Any], free_ports: Callable[[int], list[int]]) -> Any:
    """One with a replica of its first master, to be broken."""
    return new_cluster(*free_ports(4), patience=2000)


def test_a_master_that_dies_stops_only_its_own_queues_until_its_replica_takes_over(
    fragile: Any, message: Make, take: Take, eventually: Eventually
) -> None:
    url = fragile.url(1).with_params(timeout="2")
    first, second, third = one_queue_on_each("jobkit")
    with closing(adapter.transport(url)) as transport:
        transport.send([message(queue, queue=queue) for queue in (first, second, third)])
        with closing(fragile.servers[0].client()) as client:
            assert client.wait(1, 5000) == 1
        fragile.servers[0].kill()
        found = take(transport, first, second, third, limit=1)
        assert [each.message.queue for each in found] == [second]
        batch = [message(f"{queue} again", queue=queue) for queue in (first, second)]
        assert transport.send(batch)[1].answer in (Answer.YES, Answer.UNKNOWN)

        def healed() -> bool:
            try:
                return transport.send(batch)[0].answer is Answer.YES
            except Unavailable:
                return False

        eventually(healed)
        assert {each.message.id for each in take(transport, first)} == {first, f"{first} again"}
