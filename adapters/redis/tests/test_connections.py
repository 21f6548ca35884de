"""Connections: how many, who shares them, what a fork and an encryption make of them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest
import redis

from jobkit.clock import ManualClock
from jobkit.errors import ConfigurationError, Unavailable
from jobkit.store import Key
from jobkit.transport import Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_redis import RedisAdapter, adapter
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


def connections(client: redis.Redis, url: Url) -> set[str]:
    return {each["id"] for each in client.client_list() if each["name"] == f"jobkit:{url.params['namespace']}"}


def test_making_and_closing_a_handle_connects_to_nobody() -> None:
    for handle in (
        adapter.transport(Url.parse("redis://nobody.invalid")),
        adapter.store(Url.parse("redis://nobody.invalid")),
    ):
        handle.close()
        handle.close()


def test_many_threads_share_few_connections(own_url: Url, own_client: redis.Redis, message: Make) -> None:
    with closing(adapter.transport(own_url.with_params(pool="2"))) as transport:

        def work(number: int) -> None:
            for turn in range(20):
                transport.send([message(f"{number}-{turn}")])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert transport.depth(["q"])[0].ready == 160
        assert len(connections(own_client, own_url)) == 2


def test_a_full_pool_is_unavailable_within_the_timeout(private: Callable[..., Any], message: Make) -> None:
    made = private("--appendonly", "yes")
    with (
        closing(adapter.transport(made.url().with_params(pool="1", timeout="0.3"))) as transport,
        closing(made.client()) as client,
    ):
        transport.send([message("a")])
        client.client_pause(2000, all=True)
        held = threading.Thread(target=transport.send, args=([message("b")],))
        held.start()
        with pytest.raises(Unavailable):
            transport.depth(["q"])
        held.join(10)


def test_connections_that_the_server_closed_while_they_were_idle_are_replaced_unseen(
    own_transport: RedisTransport, own_url: Url, own_client: redis.Redis, message: Make, take: Take
) -> None:
    own_transport.send([message("a")])
    take(own_transport, "other", wait=0.1)
    for number in connections(own_client, own_url):
        own_client.client_kill_filter(_id=number)
    assert own_transport.send([message("b")])[0].answer is Answer.YES
    assert len(take(own_transport, wait=1)) == 2


def test_close_leaves_no_connection(
    own_url: Url, own_client: redis.Redis, message: Make, take: Take, eventually: Callable[..., None]
) -> None:
    transport, store = adapter.transport(own_url), adapter.store(own_url)
    transport.send([message("a")])
    take(transport, "other", wait=0.1)
    store.get([Key("things", "a")])
    assert len(connections(own_client, own_url)) == 3
    transport.close()
    store.close()
    eventually(lambda: not connections(own_client, own_url))


def test_a_forked_child_uses_connections_of_its_own_and_leaves_the_parents_alone(
    own_transport: RedisTransport, own_url: Url, own_client: redis.Redis, message: Make, take: Take
) -> None:
    own_transport.send([message("parent")])
    take(own_transport, "other", wait=0.1)
    before = connections(own_client, own_url)
    pid = os.fork()
    if pid == 0:
        sent = own_transport.send([message("child")])[0].answer is Answer.YES
        with closing(redis.Redis(port=own_url.port or 0)) as client:
            os._exit(0 if sent and len(connections(client, own_url)) == len(before) + 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert before <= connections(own_client, own_url)
    assert own_transport.depth(["q"])[0].ready == 2
    assert before == connections(own_client, own_url)


def test_the_clock_that_is_passed_in_tells_how_long_a_loan_is_believed_in(url: Url, message: Make, take: Take) -> None:
    clock = ManualClock()
    with closing(RedisAdapter(clock).transport(url)) as transport:
        transport.send([message("a")])
        clock.advance(100)
        (loan,) = take(transport, lease=30)
        assert loan.lease_until == 130
        assert transport.settle([Done(loan)])[0].answer is Answer.YES


def test_nobody_at_the_port_is_unavailable_and_a_wrong_database_or_password_a_mistake(url: Url) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable):
        adapter.transport(attrs.evolve(url, host="127.0.0.1", port=port)).depth([])
    with pytest.raises(Unavailable):
        adapter.transport(attrs.evolve(url, host="nobody.invalid")).depth([])
    with pytest.raises(ConfigurationError, match="DB index"):
        adapter.transport(attrs.evolve(url, path="99999")).depth([])
    with pytest.raises(ConfigurationError) as raised:
        adapter.transport(attrs.evolve(url, username="somebody", password="s3cret")).depth([])
    assert "s3cret" not in str(raised.value)
