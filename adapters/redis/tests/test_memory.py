"""A server whose memory is full takes nothing new, and everything that it holds can be worked off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import redis

from jobkit.errors import Unavailable
from jobkit.store import Expect, Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit_redis import adapter
from jobkit_redis.store import RedisStore
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture
def small(private: Callable[..., Any]) -> Any:
    return private("--maxmemory", "8mb")


@pytest.fixture
def transport(small: Any) -> Iterator[RedisTransport]:
    with closing(adapter.transport(small.url(durable="no"))) as opened:
        yield opened


@pytest.fixture
def store(small: Any) -> Iterator[RedisStore]:
    with closing(adapter.store(small.url(durable="no"))) as opened:
        yield opened


@pytest.fixture
def fill(small: Any) -> Callable[[], None]:
    """Another application fills the memory."""

    def full() -> None:
        with closing(small.client()) as client:
            # As if there were far too much already; nothing is evicted, so the rest stays as it is.
            client.config_set("maxmemory", "1kb")
            with pytest.raises(redis.OutOfMemoryError):
                client.set("other", "x")

    return full


def test_a_send_to_a_full_memory_is_unavailable_and_leaves_nothing(
    transport: RedisTransport, fill: Callable[[], None], message: Make
) -> None:
    transport.send([message("before")])
    fill()
    with pytest.raises(Unavailable, match="OOM"):
        transport.send([message("a"), message("b")])
    assert transport.depth(["q"])[0].ready == 1


def test_what_a_full_memory_holds_can_be_claimed_extended_replaced_and_ended(
    transport: RedisTransport, fill: Callable[[], None], message: Make, take: Take
) -> None:
    """Every script that ends loans begins with a removal, so it may write on: a full queue would never empty otherwise."""
    transport.send([message(name) for name in "abc"])
    fill()
    a, b, c = take(transport)
    assert [each.answer for each in transport.extend([a, b, c], lease=60)] == [Answer.YES] * 3
    answers = transport.settle([Done(a, (message("n", queue="next"),)), Again(b, message("b", body=b"y" * 1000)), Done(c)])
    assert [each.answer for each in answers] == [Answer.YES] * 3
    assert [each.message.body for each in take(transport)] == [b"y" * 1000]
    assert [each.message.id for each in take(transport, "next")] == ["n"]
    assert transport.purge("q") == 0


def test_a_lapsed_job_can_be_claimed_again_at_full_memory(
    transport: RedisTransport, fill: Callable[[], None], message: Make, take: Take
) -> None:
    transport.send([message("a")])
    assert take(transport, lease=0.05)
    fill()
    assert [each.receives for each in take(transport, wait=10)] == [2]


def test_scripts_that_the_server_has_forgotten_run_at_full_memory(
    transport: RedisTransport, small: Any, fill: Callable[[], None], message: Make, take: Take
) -> None:
    """Their text has to be sent anew, which is not refused."""
    transport.send([message("a")])
    fill()
    with closing(small.client()) as client:
        client.script_flush()
    assert transport.settle([Done(each) for each in take(transport)])[0].answer is Answer.YES


def test_at_full_memory_records_can_be_read_and_deleted_but_not_written(store: RedisStore, fill: Callable[[], None]) -> None:
    store.put([Write(Key("things", "a"), b"1"), Write(Key("things", "b"), b"2")])
    fill()
    with pytest.raises(Unavailable, match="OOM"):
        store.put([Write(Key("things", "c"), b"3")])
    assert store.put([Write(Key("things", "a"), None)])[0].answer is Answer.YES
    assert [name for name, _ in store.scan("things", limit=10)] == ["b"]


def test_a_volatile_policy_evicts_no_job_and_no_record(private: Callable[..., Any], message: Make, take: Take) -> None:
    """They have no time to live that the server knows of, records that expire included."""
    made = private("--maxmemory", "6mb", "--maxmemory-policy", "volatile-lru")
    url = made.url(durable="no")
    with (
        closing(adapter.transport(url)) as transport,
        closing(adapter.store(url)) as store,
        closing(made.client()) as client,
    ):
        transport.send([message(str(number), body=b"x" * 1000) for number in range(200)])
        store.put([Write(Key("things", "a"), b"1", Expect.ANY, ttl=1000)])
        assert all(client.ttl(key) == -1 for key in client.scan_iter(count=1000))
        for number in range(100):
            client.set(f"fleeting {number}", "x" * 10_000, ex=1000)
        with suppress(redis.OutOfMemoryError):
            for number in range(1000):
                client.set(f"lasting {number}", "x" * 10_000)
        assert number < 999
        assert client.info("stats")["evicted_keys"] == 100
        assert len(take(transport, limit=500)) == 200
        assert store.get([Key("things", "a")])[0] is not None
