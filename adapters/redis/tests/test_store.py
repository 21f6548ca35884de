"""What the store does that only Redis could get wrong."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import redis

from jobkit.store import Expect, Key, Write
from jobkit.transport import Answer
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.keys import Keys
from jobkit_redis.store import RedisStore


def expire(client: redis.Redis, url: Url, *names: str) -> None:
    """As if their time were over, for which no test needs to wait."""
    client.zadd(Keys(url.params["namespace"]).of_collection("things")[3], dict.fromkeys(names, 1))


def test_a_scan_passes_over_any_number_of_expired_records(store: RedisStore, url: Url, client: redis.Redis) -> None:
    names = [f"{number:04}" for number in range(2500)]
    store.put([Write(Key("things", name), b"x", ttl=1000) for name in names])
    expire(client, url, *names[1:-1])
    assert [name for name, _ in store.scan("things", limit=2)] == [names[0], names[-1]]
    assert [name for name, _ in store.scan("things", limit=2, reverse=True)] == [names[-1], names[0]]
    assert store.count("things", limit=5000) == 2


def test_a_large_scan_is_complete(store: RedisStore) -> None:
    """Lua takes only some thousand values at once."""
    names = [f"{number:05}" for number in range(12_000)]
    store.put([Write(Key("things", name), b"") for name in names])
    assert [name for name, _ in store.scan("things", limit=20_000)] == names
    assert len(store.get([Key("things", name) for name in names])) == 12_000


def test_writing_clears_away_what_has_expired(store: RedisStore, url: Url, client: redis.Redis) -> None:
    names = [f"{number:02}" for number in range(20)]
    store.put([Write(Key("things", name), b"x", ttl=1000) for name in names])
    expire(client, url, *names)
    for number in range(10):
        store.put([Write(Key("things", f"new {number}"), b"x")])
    assert [client.zcard(key) for key in Keys(url.params["namespace"]).of_collection("things")[0::3]] == [10, 0]
    assert [client.hlen(key) for key in Keys(url.params["namespace"]).of_collection("things")[1:3]] == [10, 10]


def test_an_expired_record_is_absent_to_every_compare(store: RedisStore, url: Url, client: redis.Redis) -> None:
    key = Key("things", "a")
    (first,) = store.put([Write(key, b"1", ttl=1000)])
    expire(client, url, "a")
    assert first.version is not None
    assert store.get([key]) == [None]
    assert store.put([Write(key, b"2", expect=first.version)])[0].answer is Answer.LOST
    assert store.put([Write(key, b"2", expect=Expect.ABSENT)])[0].answer is Answer.YES
    assert store.count("things", limit=5) == 1


def test_versions_do_not_recur_where_a_failover_has_forgotten_the_last_ones(own: Any, own_url: Url) -> None:
    """A counter kept on the server would: the promoted replica would count from where it was left behind."""
    key = Key("things", "a")
    seen = set()
    for _ in range(3):
        with closing(adapter.store(own_url)) as store:
            (written,) = store.put([Write(key, b"x")])
            assert written.version not in seen
            seen.add(written.version)
        adapter.teardown(own_url)


def test_a_key_of_another_kind_in_the_way_breaks_no_other_collection(
    store: RedisStore, url: Url, client: redis.Redis
) -> None:
    client.set(Keys(url.params["namespace"]).of_collection("things")[1], "stranger")
    assert store.put([Write(Key("things", "a"), b"1"), Write(Key("others", "a"), b"2")])[1].answer is Answer.YES
    with pytest.raises(Exception, match="WRONGTYPE"):
        store.get([Key("things", "a")])
    (record,) = store.get([Key("others", "a")])
    assert record is not None
