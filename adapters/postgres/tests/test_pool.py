"""Connections that are shared by threads, and never by processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest

from jobkit.errors import Closed, Unavailable
from jobkit.store import Key
from jobkit.transport import Answer, Delivery, Message
from jobkit.url import Url
from jobkit_postgres import adapter
from jobkit_postgres.store import PostgresStore
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


def test_threads_get_their_own_rows(transport: PostgresTransport) -> None:
    """pg8000 mixes up the rows of threads that share a connection, without an error."""
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for turn in range(100):
            rows = transport._pool.run("select cast(:value as int)", value=number * 1000 + turn)
            if rows != [[number * 1000 + turn]]:
                wrong.append(rows)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(transport._pool._idle) <= 8


def test_a_pool_that_stays_busy_is_unavailable_in_time(url: Url) -> None:
    small = adapter.transport(url.with_params(pool="1", timeout="1"))
    holder = threading.Thread(target=lambda: small._pool.run("select pg_sleep(0.7)"))
    with closing(small):
        holder.start()
        while not small._pool._out:
            assert holder.is_alive()
        target = small._pool.target
        small._pool.target = attrs.evolve(target, options=attrs.evolve(target.options, timeout=0.1))
        with pytest.raises(Unavailable, match="raise pool"):
            small.depth([])
        holder.join(20)


def backend(transport: PostgresTransport) -> int:
    return int(transport._pool.run("select pg_backend_pid()")[0][0])


def send_in_child(transport: PostgresTransport, name: str, answers: Any) -> None:
    word = transport.send([Message(id=name, queue="q", body=b"x")])[0].answer.value
    answers.put((word, backend(transport)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(transport: PostgresTransport, message: Make, take: Take) -> None:
    context = multiprocessing.get_context("fork")
    transport.send([message("before")])
    take(transport, "other", wait=0.05)  # starts the listener
    answers = context.Queue()
    processes = [context.Process(target=send_in_child, args=(transport, f"child{number}", answers)) for number in range(3)]
    for process in processes:
        process.start()
    for number in range(20):
        assert transport.send([message(f"parent{number}")])[0].answer is Answer.YES
    found = [answers.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
    assert [word for word, _ in found] == ["yes"] * 3
    assert len({backend(transport), *(pid for _, pid in found)}) == 4
    assert transport.depth(["q"])[0].ready == 24
    assert transport.send([message("after")])[0].answer is Answer.YES


def test_everything_is_closed_after_close(
    transport: PostgresTransport, store: PostgresStore, message: Make, take: Take
) -> None:
    transport.send([message("a")])
    (delivery,) = take(transport)
    for handle in (transport, store):
        handle.close()
        handle.close()
    calls: list[Callable[[], Any]] = [
        lambda: transport.send([]),
        lambda: transport.send([message("b")]),
        lambda: take(transport),
        lambda: transport.settle([]),
        lambda: transport.extend([delivery], lease=1),
        lambda: transport.depth([]),
        lambda: transport.purge("q"),
        lambda: store.get([]),
        lambda: store.put([]),
        lambda: store.scan("c", limit=1),
        lambda: store.count("c", limit=1),
        store.now,
        lambda: store.get([Key("c", "a")]),
    ]
    for call in calls:
        with pytest.raises(Closed):
            call()


def test_nothing_is_connected_before_the_first_call() -> None:
    url = Url.parse("postgresql://nobody@127.0.0.1:1/nowhere")
    with closing(adapter.transport(url)) as transport, closing(adapter.store(url)) as store:
        assert (transport.capabilities.name, store.capabilities.name) == ("postgresql", "postgresql")
        with pytest.raises(Unavailable):
            store.now()
