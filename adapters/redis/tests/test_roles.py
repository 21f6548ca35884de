"""The users of the README: what each may do, and that it may do no more. The commands are read from there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import redis
from redis.exceptions import NoPermissionError

from jobkit.errors import ConfigurationError
from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_redis import adapter

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def log_in(own: Any, own_client: redis.Redis) -> Iterator[Callable[..., Url]]:
    """Makes a user of the README, and gives the URL with its name."""
    made = []

    def make(name: str, **options: str) -> Url:
        (rule,) = re.findall(rf"^ACL SETUSER ({name} (?:.|\\\n)+?[^\\])$", README.read_text(), re.MULTILINE)
        own_client.execute_command("ACL SETUSER", *rule.replace("\\\n", " ").split())  # type: ignore[no-untyped-call]
        made.append(name)
        url: Url = attrs.evolve(own.url(**options), username=name, password="PASSWORD")
        return url

    yield make
    for name in made:
        own_client.acl_deluser(name)


def test_the_workers_user_may_do_what_a_worker_does(log_in: Callable[..., Url], message: Make, take: Take) -> None:
    url = log_in("jobkit_worker")
    with closing(adapter.transport(url)) as transport, closing(adapter.store(url)) as store:
        transport.send([message("a"), message("b"), message("c", delay=0.1)])
        a, b = take(transport)
        assert transport.extend([a, b], lease=30)[0].answer is Answer.YES
        settled = transport.settle([Done(a, (message("d"),)), Again(b, message("b"))])
        assert [each.answer for each in settled] == [Answer.YES] * 2
        assert len(take(transport)) == 2
        assert len(take(transport, wait=10)) == 1
        assert take(transport, wait=0.2) == []
        assert [each.leased for each in transport.depth([])] == [3]
        transport.purge("q")
        keys = [Key("things", "a"), Key("things", "b")]
        store.put([Write(keys[0], b"1", ttl=100), Write(keys[1], None)])
        assert len(store.scan("things", limit=10)) == len(store.scan("things", limit=10, reverse=True)) == 1
        assert store.count("things", limit=10) == 1
        assert store.get(keys)[1] is None
        store.now()
        assert {each.level for each in adapter.check(url)} <= {"ok", "warning"}


def test_it_wakes_up_and_hangs_up_as_any_other(log_in: Callable[..., Url], own_client: redis.Redis, take: Take) -> None:
    url = log_in("jobkit_worker")
    with closing(adapter.transport(url)) as transport:
        own_client.config_resetstat()
        take(transport, "empty", wait=0.2)
        take(transport, "empty", wait=0.2)
        seen = own_client.info("commandstats")
        assert seen["cmdstat_blpop"]["calls"] == 2
        assert seen["cmdstat_blpop"]["rejected_calls"] == 0
        names = [each for each in own_client.client_list() if each["user"] == "jobkit_worker"]
        assert len(names) == 2


FORBIDDEN = (("GET", "other"), ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("SCAN", "0"), ("CLIENT", "LIST"))


def test_it_may_touch_no_other_namespace_and_no_other_command(log_in: Callable[..., Url], own: Any, message: Make) -> None:
    url = log_in("jobkit_worker")
    with (
        closing(adapter.transport(url.with_params(namespace="jobkit_not"))) as transport,
        pytest.raises(ConfigurationError, match="NOPERM"),
    ):
        transport.send([message("a")])
    with closing(own.client(username="jobkit_worker", password="PASSWORD")) as client:
        for words in FORBIDDEN:
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


def test_the_deployers_user_may_set_up_check_and_tear_down(log_in: Callable[..., Url], own: Any, message: Make) -> None:
    worker, deployer = log_in("jobkit_worker"), log_in("jobkit_deployer")
    adapter.teardown(deployer)
    assert len(adapter.setup(deployer, [])) == 1
    with closing(adapter.transport(worker)) as transport:
        transport.send([message("a")])
    assert any("appendfsync = everysec" in each.what for each in adapter.check(deployer))
    adapter.teardown(deployer)
    with closing(own.client()) as client:
        assert list(client.scan_iter("{jobkit:*", count=1000)) == []


def test_who_may_only_look_is_told_so(log_in: Callable[..., Url], message: Make) -> None:
    """Nothing happens to what a user may not do, so a send is no doubtful one."""
    url = log_in("jobkit_deployer")
    with closing(adapter.transport(url)) as transport, pytest.raises(ConfigurationError, match="NOPERM"):
        transport.send([message("a")])


def test_in_a_cluster_the_same_user_is_needed_on_every_server(cluster: Any, message: Make, take: Take) -> None:
    (rule,) = re.findall(r"^ACL SETUSER (jobkit_worker (?:.|\\\n)+?[^\\])$", README.read_text(), re.MULTILINE)
    cluster.on_each("ACL SETUSER", *rule.replace("\\\n", " ").split())
    url = attrs.evolve(cluster.url(), username="jobkit_worker", password="PASSWORD")
    queues = [f"queue{number}" for number in range(12)]
    with closing(adapter.transport(url)) as transport:
        transport.send([message(queue, queue=queue) for queue in queues])
        found = take(transport, *queues, limit=20)
        answers = transport.settle([Done(each, (message("next", queue=queues[0]),)) for each in found])
        assert {each.answer for each in answers} == {Answer.YES}
        assert take(transport, *queues, wait=0.3) != []
    adapter.teardown(cluster.url())
