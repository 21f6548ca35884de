"""What is said when the server's answer is lost, late, or never comes."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest

from jobkit.errors import ConfigurationError, Unavailable, Uncertain
from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_postgres import adapter
from jobkit_postgres.options import Target
from jobkit_postgres.store import PostgresStore
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


class Proxy:
    """
    Passes bytes on, on loopback.

    Attributes:
        lose_reply_to: Once a request holds these bytes, it is still passed on, and nothing of the reply is: the
            connection is cut when the reply comes.
        silent: Nothing is passed back any more, and nothing is cut.
        lost: How many replies were lost.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.lose_reply_to: bytes | None = None
        self.silent = False
        self.lost = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        losing = False
        with contextlib.suppress(OSError), client, server:
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if client in readable:
                    data = client.recv(65536)
                    losing = losing or (self.lose_reply_to is not None and self.lose_reply_to in data)
                    if not data:
                        return
                    server.sendall(data)
                if server in readable:
                    data = server.recv(65536)
                    if not data:
                        return
                    if losing:
                        self.lost += 1
                        return
                    if not self.silent:
                        client.sendall(data)


@pytest.fixture
def proxy(server: Url) -> Iterator[Proxy]:
    target = Target.of(server)
    with closing(Proxy(target.host, target.port)) as opened:
        yield opened


@pytest.fixture
def through(url: Url, proxy: Proxy) -> Iterator[PostgresTransport]:
    """A transport whose way leads through the proxy."""
    with closing(adapter.transport(attrs.evolve(url, host="127.0.0.1", port=proxy.port))) as opened:
        opened.depth([])
        yield opened


@pytest.fixture
def store_through(url: Url, proxy: Proxy) -> Iterator[PostgresStore]:
    with closing(adapter.store(attrs.evolve(url, host="127.0.0.1", port=proxy.port))) as opened:
        opened.now()
        yield opened


def test_a_send_whose_reply_is_lost_is_unknown_and_may_be_repeated(
    through: PostgresTransport, proxy: Proxy, message: Make
) -> None:
    through.send([message("warm", queue="other")])
    proxy.lose_reply_to = b'"lost-one"'
    answers = through.send([message("lost-one"), message("lost-two")])
    assert [sent.answer for sent in answers] == [Answer.UNKNOWN] * 2
    assert proxy.lost == 1
    proxy.lose_reply_to = None
    assert [sent.answer for sent in through.send([message("lost-one"), message("lost-two")])] == [Answer.YES] * 2
    assert through.depth(["q"])[0].ready == 2


def test_settlements_and_extensions_whose_reply_is_lost_are_unknown(
    through: PostgresTransport, transport: PostgresTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    transport.send([message("a"), message("b"), message("c")])
    a, b, c = take(through)
    through.extend([], lease=1)
    proxy.lose_reply_to = b'"token"'
    assert [settled.answer for settled in through.settle([Done(a), Again(b, message("b", b"new"))])] == [Answer.UNKNOWN] * 2
    assert [settled.answer for settled in through.extend([c], lease=60)] == [Answer.UNKNOWN]
    proxy.lose_reply_to = None
    # It had happened, so the repeated ones find their leases gone.
    assert [settled.answer for settled in through.settle([Done(a), Done(b)])] == [Answer.LOST] * 2
    assert [settled.answer for settled in through.settle([Done(c)])] == [Answer.YES]


def test_a_put_whose_reply_is_lost_is_unknown(store_through: PostgresStore, proxy: Proxy) -> None:
    key = Key("c", "lost-key")
    proxy.lose_reply_to = b'"value"'
    assert [written.answer for written in store_through.put([Write(key, b"mine")])] == [Answer.UNKNOWN]
    proxy.lose_reply_to = None
    (record,) = store_through.get([key])
    assert record is not None
    assert record.value == b"mine"


def test_a_receive_whose_reply_is_lost_raises_and_the_loan_lapses(
    through: PostgresTransport, transport: PostgresTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    transport.send([message("a")])
    take(through, "empty")
    proxy.lose_reply_to = b"{q}"
    with pytest.raises(Unavailable):
        take(through, lease=0.5)
    proxy.lose_reply_to = None
    (again,) = take(through, wait=5)
    assert again.receives == 2


def test_a_purge_whose_reply_is_lost_says_so(
    through: PostgresTransport, transport: PostgresTransport, proxy: Proxy, message: Make
) -> None:
    transport.send([message("a")])
    through.purge("other")
    proxy.lose_reply_to = b"purge-me"
    transport.send([message("b", queue="purge-me")])
    with pytest.raises(Uncertain, match="purge-me"):
        through.purge("purge-me")


def test_a_server_that_says_nothing_is_given_up_in_time(url: Url, proxy: Proxy, message: Make) -> None:
    quick = attrs.evolve(url, host="127.0.0.1", port=proxy.port).with_params(timeout="0.5")
    with closing(adapter.transport(quick)) as transport:
        transport.send([message("a")])
        proxy.silent = True
        begun = time.monotonic()
        assert [sent.answer for sent in transport.send([message("b")])] == [Answer.UNKNOWN]
        with pytest.raises(Unavailable):  # a new connection, on which not even the greeting comes back
            transport.send([message("c")])
        assert time.monotonic() - begun < 5
        proxy.silent = False
        assert [sent.answer for sent in transport.send([message("c")])] == [Answer.YES]


def test_a_cut_between_two_calls_is_healed_unseen(through: PostgresTransport, proxy: Proxy, message: Make) -> None:
    through.send([message("a")])
    proxy.cut()
    assert [sent.answer for sent in through.send([message("b")])] == [Answer.YES]


def backends(sql: Any, namespace: str) -> list[int]:
    found = "select pid from pg_stat_activity where application_name = :name"
    return [pid for (pid,) in sql.run(found, name=f"jobkit {namespace}")]


def test_backends_that_were_killed_while_idle_are_replaced_unseen(
    transport: PostgresTransport, store: PostgresStore, namespace: str, sql: Any, message: Make
) -> None:
    transport.send([message("a")])
    store.now()
    pids = backends(sql, namespace)
    assert len(pids) == 2
    for pid in pids:
        sql.run("select pg_terminate_backend(:pid, 5000)", pid=pid)
    assert [sent.answer for sent in transport.send([message("b")])] == [Answer.YES]
    assert store.get([Key("c", "a")]) == [None]


def test_a_backend_killed_at_work_leaves_it_unknown(
    url: Url, namespace: str, sql: Any, open_sql: Callable[[], Any], message: Make
) -> None:
    holder = open_sql()
    holder.run("begin")
    holder.run(f"insert into {namespace}.job (number, queue, id, due, body) values (0, 'q', 'a', now(), '')")
    answers: list[Answer] = []
    with closing(adapter.transport(url)) as transport:
        thread = threading.Thread(target=lambda: answers.extend(sent.answer for sent in transport.send([message("a")])))
        thread.start()
        waiting = "select pid from pg_stat_activity where application_name = :name and wait_event_type = 'Lock'"
        while not (pids := sql.run(waiting, name=f"jobkit {namespace}")):
            assert thread.is_alive()
        sql.run("select pg_terminate_backend(:pid)", pid=pids[0][0])
        thread.join(10)
    assert answers == [Answer.UNKNOWN]


def test_the_server_gives_up_on_a_statement_before_the_client_does(
    url: Url, namespace: str, sql: Any, message: Make
) -> None:
    """So the answer is a certain no, and not a silence."""
    sql.run("begin")
    sql.run(f"insert into {namespace}.job (number, queue, id, due, body) values (0, 'q', 'a', now(), '')")
    with closing(adapter.transport(url.with_params(timeout="2"))) as transport:
        transport.send([message("before", queue="other")])
        with pytest.raises(Unavailable, match="57014"):
            transport.send([message("a"), message("b")])
        sql.run("rollback")
        assert transport.depth(["q"])[0].ready == 0
        assert [sent.answer for sent in transport.send([message("a")])] == [Answer.YES]


def test_nobody_at_the_port_is_unavailable_and_a_wrong_database_is_a_mistake(url: Url) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable):
        adapter.transport(attrs.evolve(url, host="127.0.0.1", port=port)).depth([])
    with pytest.raises(ConfigurationError, match="does not exist"):
        adapter.transport(attrs.evolve(url, path="there_is_no_such_database")).depth([])


def test_after_a_lost_piece_of_a_large_batch_the_rest_is_unknown(
    through: PostgresTransport, proxy: Proxy, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_postgres.pieces.MOST_TEXT", 300)
    batch = [message(f"m{number}") for number in range(16)]
    assert [sent.answer for sent in through.send(batch)] == [Answer.YES] * 16
    assert through.depth(["q"])[0].ready == 16
    assert through.purge("q") == 16
    proxy.lose_reply_to = b'"m9"'
    answers = [sent.answer for sent in through.send(batch)]
    assert answers[0] is Answer.YES
    assert answers[9] is Answer.UNKNOWN
