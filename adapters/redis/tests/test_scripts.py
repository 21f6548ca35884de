"""What the scripts do with batches, forgotten scripts, and a queue that holds much."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import redis

from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message, Settlement
from jobkit.url import Url
from jobkit_redis import adapter, claims
from jobkit_redis.keys import Keys
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


def test_a_server_that_has_forgotten_the_scripts_is_sent_them_again(
    own_transport: RedisTransport, own_url: Url, own_client: redis.Redis, message: Make, take: Take
) -> None:
    """A pipelined EVALSHA does not load anything by itself; each call notices, and nothing happens twice."""
    transport, client, store = own_transport, own_client, adapter.store(own_url)
    client.script_flush()
    transport.send([message("a"), message("b")])
    client.script_flush()
    a, b = take(transport)
    client.script_flush()
    assert transport.extend([a], lease=30)[0].answer is Answer.YES
    client.script_flush()
    assert [each.answer for each in transport.settle([Done(a), Again(b, message("b", b"new"))])] == [Answer.YES] * 2
    client.script_flush()
    assert transport.depth(["q"])[0].ready == 1
    client.script_flush()
    assert transport.purge("q") == 1
    client.script_flush()
    store.put([Write(Key("things", "a"), b"1")])
    client.script_flush()
    assert store.get([Key("things", "a")]) != [None]
    store.close()


def test_a_batch_larger_than_one_script_takes_keeps_its_order(transport: RedisTransport, message: Make, take: Take) -> None:
    answers = transport.send([message(str(number)) for number in range(1300)])
    assert [each.answer for each in answers] == [Answer.YES] * 1300
    first, second = take(transport, limit=2000), take(transport, limit=2000)
    assert [each.message.id for each in [*first, *second]] == [str(number) for number in range(1300)]
    settled = transport.settle([Done(each) for each in [*first, *second]])
    assert {each.answer for each in settled} == {Answer.YES}
    assert len(settled) == 1300


def test_one_look_hands_out_a_bounded_number_of_bytes(transport: RedisTransport, message: Make, take: Take) -> None:
    """Otherwise a hundred of the largest bodies would make one reply of 1.6 GB, for which everybody waits."""
    body = bytes(12 * 1024 * 1024)
    transport.send([message(name, body) for name in "abcd"])
    first = take(transport)
    assert sum(len(each.message.body) for each in first[:-1]) < claims.MOST_BYTES
    assert len(first) == 3
    assert len(take(transport)) == 1


def test_what_is_ready_is_found_behind_a_hundred_thousand_delayed_ones(
    own_transport: RedisTransport, own_url: Url, own_client: redis.Redis, message: Make, take: Take
) -> None:
    """A claim's work does not grow with what is not due."""
    transport, client = own_transport, own_client
    keys = Keys(own_url.params["namespace"]).of_queue("q")
    later = 9e15
    for start in range(0, 100_000, 10_000):
        names = [str(number) for number in range(start, start + 10_000)]
        client.zadd(keys[0], dict.fromkeys(names, later))
        client.hset(keys[3], mapping=dict.fromkeys(names, "x"))
    transport.send([message("now")])
    client.config_resetstat()
    assert [each.message.id for each in take(transport)] == ["now"]
    seen = client.info("commandstats")
    assert seen["cmdstat_evalsha"]["usec_per_call"] < 20_000
    assert transport.depth(["q"])[0].delayed == 100_000


def test_an_id_that_lost_its_body_is_dropped(
    transport: RedisTransport, url: Url, client: redis.Redis, message: Make, take: Take
) -> None:
    """No script leaves one behind; if somebody's hand did, it must not stop the queue."""
    transport.send([message("a"), message("b")])
    client.hdel(Keys(url.params["namespace"]).of_queue("q")[3], "a")
    assert [each.message.id for each in take(transport)] == ["b"]
    assert transport.depth(["q"])[0].ready == 0


def test_an_empty_queue_takes_no_memory(
    transport: RedisTransport, url: Url, client: redis.Redis, message: Make, take: Take
) -> None:
    transport.send([message("a"), message("b")])
    transport.settle([Done(each) for each in take(transport)])
    take(transport)
    found = set(client.scan_iter(Keys(url.params["namespace"]).all, count=1000))
    assert {key.rpartition(b"}")[2] for key in found} == {b"layout", b"queues"}


def test_ids_may_hold_anything_that_can_be_encoded(transport: RedisTransport, message: Make, take: Take) -> None:
    odd = ["ä", "a b", "a\nb", "\x00", "}", "{x}", "x" * 512]
    transport.send([message(name) for name in odd])
    assert [each.message.id for each in take(transport)] == odd
    answers = transport.send([message("fine"), message("\ud800"), message(""), message("x" * 513)])
    assert [each.answer for each in answers] == [Answer.YES, Answer.FAILED, Answer.FAILED, Answer.FAILED]


def test_only_the_successors_of_a_refused_settlement_fail(transport: RedisTransport, message: Make, take: Take) -> None:
    transport.send([message("a"), message("b")])
    a, b = take(transport)
    answers = transport.settle([Done(a, (message("\ud800"),)), Done(b)])
    assert [each.answer for each in answers] == [Answer.FAILED, Answer.YES]
    assert transport.extend([a], lease=30)[0].answer is Answer.YES


def test_queues_that_were_used_by_anybody_are_listed(url: Url, transport: RedisTransport, message: Make, take: Take) -> None:
    with closing(adapter.transport(url)) as other:
        other.send([message("a", queue="one")])
        other.settle([Done(each, (message("b", queue="two"),)) for each in take(other, "one")])
    assert [(each.queue, each.ready) for each in transport.depth([])] == [("one", 0), ("two", 1)]


def test_of_several_settlements_of_one_loan_the_first_counts(transport: RedisTransport, message: Make, take: Take) -> None:
    transport.send([message("a"), message("b")])
    a, b = take(transport)
    batch: list[Settlement] = [
        Done(a, (message("next"),)),
        Again(a, message("a")),
        Again(b, message("b")),
        Done(b, (message("wrong"),)),
    ]
    answers = [each.answer for each in transport.settle(batch)]
    assert answers == [Answer.YES, Answer.LOST, Answer.YES, Answer.LOST]
    assert sorted(each.message.id for each in take(transport)) == ["b", "next"]
