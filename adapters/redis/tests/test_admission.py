"""Which servers are refused before a job is entrusted to them, and what `check` says about each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import redis

from jobkit.adapter import Finding
from jobkit.errors import ConfigurationError, SetupRequired, Unavailable
from jobkit.store import Key, Write
from jobkit.transport import Answer, Message
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.admission import objection
from jobkit_redis.options import Target

Make = Callable[..., Message]


def levels(findings: list[Finding], about: str) -> list[str]:
    return [each.level for each in findings if about in each.what]


@pytest.fixture
def settings(own_client: redis.Redis) -> Iterator[Callable[..., None]]:
    """Changes settings of the server, and sets them back."""
    before: dict[str, str] = {}

    def change(**values: str) -> None:
        for name, value in values.items():
            name = name.replace("_", "-")
            before.setdefault(name, str(own_client.config_get(name)[name]))
            own_client.config_set(name, value)

    yield change
    for name, value in before.items():
        own_client.config_set(name, value)


def test_a_server_without_an_append_only_file_is_refused_unless_the_url_says_that_jobs_may_be_lost(
    own_url: Url, settings: Callable[..., None], message: Make
) -> None:
    settings(appendonly="no")
    with pytest.raises(ConfigurationError, match="appendonly yes; or say durable=no"):
        adapter.transport(own_url).send([message("a")])
    with pytest.raises(ConfigurationError, match="append-only"):
        adapter.store(own_url).put([Write(Key("things", "a"), b"1")])
    assert levels(adapter.check(own_url), "appendonly") == ["error"]
    for durable in ("no", "vouched"):
        url = own_url.with_params(durable=durable)
        assert levels(adapter.check(url), "appendonly") == ["warning"]
        with closing(adapter.transport(url)) as transport:
            assert transport.send([message("a")])[0].answer is Answer.YES


def test_a_server_that_evicts_any_key_is_refused_whatever_the_url_says(
    own_url: Url, settings: Callable[..., None], message: Make
) -> None:
    settings(maxmemory="1gb", maxmemory_policy="allkeys-lru")
    with pytest.raises(ConfigurationError, match="allkeys-lru drops jobs"):
        adapter.transport(own_url.with_params(durable="no")).send([message("a")])
    assert levels(adapter.check(own_url), "maxmemory-policy") == ["error"]
    settings(maxmemory_policy="volatile-ttl")
    assert levels(adapter.check(own_url), "maxmemory-policy") == ["warning"]
    settings(maxmemory_policy="noeviction")
    assert levels(adapter.check(own_url), "maxmemory-policy") == ["ok"]


def test_without_a_limit_nothing_is_evicted_whatever_the_policy(
    own_url: Url, settings: Callable[..., None], message: Make
) -> None:
    settings(maxmemory="0", maxmemory_policy="allkeys-lru")
    with closing(adapter.transport(own_url)) as transport:
        assert transport.send([message("a")])[0].answer is Answer.YES
    assert levels(adapter.check(own_url), "maxmemory") == ["ok"]


def test_a_replica_is_unavailable_and_reported(private: Callable[..., Any], own: Any, message: Make) -> None:
    replica = private("--replicaof", "127.0.0.1", str(own.port), "--appendonly", "yes")
    with pytest.raises(Unavailable, match="replica"):
        adapter.transport(replica.url()).send([message("a")])
    assert "error" in levels(adapter.check(replica.url()), "replica")


def test_a_master_that_becomes_a_replica_is_left_at_once(private: Callable[..., Any], own: Any, message: Make) -> None:
    """The same connection is not used again: behind the same name there may be another server by then."""
    made = private("--appendonly", "yes")
    with closing(adapter.transport(made.url())) as transport, closing(made.client()) as client:
        transport.send([message("a")])
        client.replicaof("127.0.0.1", own.port)
        before = [each["id"] for each in client.client_list() if each["name"] == "jobkit:jobkit"]
        with pytest.raises(Unavailable, match="READONLY"):
            transport.send([message("b")])
        client.replicaof("NO", "ONE")
        assert transport.send([message("b")])[0].answer is Answer.YES
        assert before != [each["id"] for each in client.client_list() if each["name"] == "jobkit:jobkit"]


def test_a_server_that_is_busy_with_somebody_elses_script_is_unavailable(private: Callable[..., Any], message: Make) -> None:
    """BUSY is said in place of the command, so nothing has happened."""
    made = private("--appendonly", "yes", "--lua-time-limit", "10")
    with closing(adapter.transport(made.url())) as transport, closing(made.client()) as client:
        transport.send([message("a")])
        endless = threading.Thread(target=_run_without_end, args=(client,))
        endless.start()
        with closing(made.client()) as other:
            _until_busy(other)
            with pytest.raises(Unavailable, match="BUSY"):
                transport.send([message("b")])
            other.script_kill()
        endless.join(10)
        assert transport.depth(["q"])[0].ready == 1


def _run_without_end(client: redis.Redis) -> None:
    with suppress(redis.ResponseError):
        client.eval("while true do end", 0)


def _until_busy(client: redis.Redis) -> None:
    while True:
        try:
            client.ping()
        except redis.ResponseError:
            return


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"redis_version": "6.0.16"}, ConfigurationError, "6.2 or later"),
        ({"redis_version": "5.0.14"}, ConfigurationError, "6.2 or later"),
        ({"cluster_enabled": "1"}, ConfigurationError, "add cluster=true"),
        ({"role": "slave"}, Unavailable, "replica"),
        ({"aof_enabled": "0"}, ConfigurationError, "append-only"),
    ],
)
def test_each_objection_is_named(change: dict[str, str], error: type[Exception], words: str) -> None:
    good = {
        "redis_version": "7.2.4",
        "cluster_enabled": "0",
        "role": "master",
        "aof_enabled": "1",
        "maxmemory": "0",
        "maxmemory_policy": "noeviction",
    }
    target = Target.of(Url.parse("redis://127.0.0.1/0"))
    assert objection(good, target) is None
    with pytest.raises(error, match=words):
        raise objection({**good, **change}, target) or AssertionError


def test_check_reports_how_often_the_file_is_synced_and_how_full_the_memory_is(
    own_url: Url, settings: Callable[..., None]
) -> None:
    settings(appendfsync="everysec")
    assert levels(adapter.check(own_url), "appendfsync = everysec") == ["warning"]
    settings(appendfsync="always")
    assert levels(adapter.check(own_url), "appendfsync = always") == ["ok"]
    assert levels(adapter.check(own_url), "full") == []
    settings(maxmemory="1kb")
    assert levels(adapter.check(own_url), "full") == ["warning"]


def test_check_warns_of_replicas_that_the_master_does_not_wait_for(
    private: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    master = private("--appendonly", "yes")
    private("--replicaof", "127.0.0.1", str(master.port))
    with closing(master.client()) as client:
        eventually(lambda: client.info("replication")["connected_slaves"] == 1)
        assert levels(adapter.check(master.url()), "min-replicas-to-write") == ["warning"]
        client.config_set("min-replicas-to-write", 1)
        assert levels(adapter.check(master.url()), "min-replicas-to-write") == []


def test_check_changes_nothing_and_finds_a_good_server_good(own_url: Url, own_client: redis.Redis) -> None:
    before = own_client.dbsize()
    findings = adapter.check(own_url)
    assert {each.level for each in findings} <= {"ok", "warning"}
    assert all(each.advice for each in findings if each.level != "ok")
    assert own_client.dbsize() == before


def test_check_looks_at_every_master_of_a_cluster(cluster: Any) -> None:
    findings = adapter.check(cluster.url())
    assert len(levels(findings, "Redis")) + len(levels(findings, "Valkey")) == 3
    assert "error" not in {each.level for each in findings}


def test_data_of_a_newer_jobkit_are_left_alone(own_url: Url, own_client: redis.Redis, message: Make) -> None:
    own_client.set(f"{{{own_url.params['namespace']}:}}layout", 2)
    with pytest.raises(SetupRequired, match="upgrade"):
        adapter.transport(own_url).send([message("a")])
    with pytest.raises(SetupRequired, match="upgrade"):
        adapter.store(own_url).get([Key("things", "a")])
    with pytest.raises(ConfigurationError, match="upgrade"):
        adapter.setup(own_url, [])
    assert levels(adapter.check(own_url), "layout") == ["error"]
