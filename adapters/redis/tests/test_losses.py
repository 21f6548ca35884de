"""What is said when the server's answer is lost, late, or never comes."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest
import redis

from jobkit.errors import Unavailable, Uncertain
from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.store import RedisStore
from jobkit_redis.transport import RedisTransport

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
def proxy(own: Any) -> Iterator[Proxy]:
    with closing(Proxy("127.0.0.1", own.port)) as opened:
        yield opened


@pytest.fixture
def proxied(own_url: Url, proxy: Proxy) -> Url:
    return attrs.evolve(own_url, port=proxy.port)


@pytest.fixture
def through(proxied: Url, message: Make, take: Take) -> Iterator[RedisTransport]:
    """A transport whose way leads through the proxy, and which has been used: all scripts are known."""
    with closing(adapter.transport(proxied)) as opened:
        opened.send([message("warm", queue="warm")])
        opened.settle([Done(opened_once) for opened_once in take(opened, "warm")])
        opened.extend([], lease=1)
        opened.depth(["warm"])
        opened.purge("warm")
        yield opened


@pytest.fixture
def store_through(proxied: Url) -> Iterator[RedisStore]:
    with closing(adapter.store(proxied)) as opened:
        opened.put([Write(Key("warm", "a"), b"")])
        yield opened


def test_a_send_whose_reply_is_lost_is_unknown_and_may_be_repeated(
    through: RedisTransport, own_transport: RedisTransport, proxy: Proxy, message: Make
) -> None:
    own_transport.send([message("first")])
    through.send([message("first")])
    proxy.lose_reply_to = b"lost-one"
    answers = through.send([message("lost-one"), message("lost-two")])
    assert [sent.answer for sent in answers] == [Answer.UNKNOWN] * 2
    assert proxy.lost == 1
    proxy.lose_reply_to = None
    assert own_transport.depth(["q"])[0].ready == 3
    assert [sent.answer for sent in through.send([message("lost-one"), message("lost-two")])] == [Answer.YES] * 2
    assert own_transport.depth(["q"])[0].ready == 3


def test_a_write_whose_reply_is_lost_is_sent_once(
    through: RedisTransport, own_client: redis.Redis, proxy: Proxy, message: Make
) -> None:
    """redis-py by itself would send it up to eleven times."""
    through.send([message("first")])
    own_client.config_resetstat()
    proxy.lose_reply_to = b"lost-one"
    assert through.send([message("lost-one")])[0].answer is Answer.UNKNOWN
    assert own_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_settlements_and_extensions_whose_reply_is_lost_are_unknown(
    through: RedisTransport, own_transport: RedisTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    own_transport.send([message("lost-a"), message("lost-b"), message("lost-c")])
    a, b, c = take(through)
    proxy.lose_reply_to = b"lost-"
    assert [settled.answer for settled in through.settle([Done(a), Again(b, message("lost-b", b"new"))])] == [
        Answer.UNKNOWN
    ] * 2
    assert [settled.answer for settled in through.extend([c], lease=60)] == [Answer.UNKNOWN]
    proxy.lose_reply_to = None
    # It had happened, so the repeated ones find their leases gone.
    assert [settled.answer for settled in through.settle([Done(a), Done(b)])] == [Answer.LOST] * 2
    assert [settled.answer for settled in through.settle([Done(c)])] == [Answer.YES]


def test_a_put_whose_reply_is_lost_is_unknown(store_through: RedisStore, proxy: Proxy) -> None:
    key = Key("c", "lost-key")
    proxy.lose_reply_to = b"lost-key"
    assert [written.answer for written in store_through.put([Write(key, b"mine")])] == [Answer.UNKNOWN]
    proxy.lose_reply_to = None
    (record,) = store_through.get([key])
    assert record is not None
    assert record.value == b"mine"


def test_a_claim_whose_reply_is_lost_is_repeated_by_the_next_one(
    through: RedisTransport, own_transport: RedisTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    """The same caller gets the same jobs at once, as the deliveries that they would have been; nobody else does."""
    own_transport.send([message(str(number)) for number in range(5)])
    proxy.lose_reply_to = b"EVALSHA"
    with pytest.raises(Unavailable):
        take(through, limit=3)
    proxy.lose_reply_to = None
    assert [each.message.id for each in take(own_transport, limit=1)] == ["3"]
    again = take(through, limit=10)
    assert [(each.message.id, each.receives) for each in again] == [("0", 1), ("1", 1), ("2", 1), ("4", 1)]
    assert {settled.answer for settled in through.settle([Done(each) for each in again])} == {Answer.YES}


def test_a_lost_loan_that_nobody_asks_for_lapses(
    through: RedisTransport, own_transport: RedisTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    own_transport.send([message("a")])
    proxy.lose_reply_to = b"EVALSHA"
    with pytest.raises(Unavailable):
        take(through, lease=0.3)
    assert [each.receives for each in take(own_transport, wait=10)] == [2]


def test_a_purge_whose_reply_is_lost_says_so(through: RedisTransport, proxy: Proxy, message: Make) -> None:
    through.send([message("a", queue="purge-me")])
    proxy.lose_reply_to = b"purge-me"
    with pytest.raises(Uncertain, match="purge-me"):
        through.purge("purge-me")


def test_a_server_that_says_nothing_is_given_up_in_time(proxied: Url, proxy: Proxy, message: Make, take: Take) -> None:
    with closing(adapter.transport(proxied.with_params(timeout="0.5"))) as transport:
        transport.send([message("a")])
        proxy.silent = True
        begun = time.monotonic()
        assert [sent.answer for sent in transport.send([message("b")])] == [Answer.UNKNOWN]
        with pytest.raises(Unavailable):  # a new connection, on which not even the greeting comes back
            transport.send([message("c")])
        with pytest.raises(Unavailable):
            take(transport, wait=20)
        assert time.monotonic() - begun < 10
        proxy.silent = False
        assert [sent.answer for sent in transport.send([message("c")])] == [Answer.YES]


def test_a_stalled_server_carries_a_write_out_once_though_its_answer_came_too_late(
    private: Callable[..., Any], message: Make, eventually: Callable[..., None]
) -> None:
    made = private("--appendonly", "yes")
    with closing(adapter.transport(made.url().with_params(timeout="0.5"))) as transport, closing(made.client()) as client:
        transport.send([message("a")])
        client.config_resetstat()
        made.process.send_signal(signal.SIGSTOP)
        try:
            assert transport.send([message("b")])[0].answer is Answer.UNKNOWN
            with pytest.raises(Unavailable):
                transport.send([message("c")])
        finally:
            made.process.send_signal(signal.SIGCONT)
        eventually(lambda: client.zcard("{jobkit:q:q}due") == 2)
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
        assert transport.send([message("b")])[0].answer is Answer.YES


def test_a_cut_between_two_calls_is_healed_unseen(through: RedisTransport, proxy: Proxy, message: Make) -> None:
    through.send([message("a")])
    proxy.cut()
    assert [sent.answer for sent in through.send([message("b")])] == [Answer.YES]


def test_a_cut_in_the_middle_of_a_wait_is_healed_unseen(
    through: RedisTransport, own_transport: RedisTransport, proxy: Proxy, message: Make, take: Take
) -> None:
    found: list[Delivery] = []
    thread = threading.Thread(target=lambda: found.extend(take(through, wait=20)))
    thread.start()
    time.sleep(0.3)
    proxy.cut()
    own_transport.send([message("a")])
    thread.join(30)
    assert [each.message.id for each in found] == ["a"]


def test_after_a_lost_piece_of_a_large_batch_the_rest_is_unknown(
    through: RedisTransport, proxy: Proxy, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_redis.requests.MOST_ITEMS", 4)
    body = bytes(200_000)
    through.send([message("first")])
    proxy.lose_reply_to = b"m-9-"
    answers = [sent.answer for sent in through.send([message(f"m-{number}-", body) for number in range(16)])]
    assert set(answers[8:]) == {Answer.UNKNOWN}
    proxy.lose_reply_to = None
    assert {sent.answer for sent in through.send([message(f"m-{number}-", body) for number in range(16)])} == {Answer.YES}
    assert through.depth(["q"])[0].ready == 17


def test_what_was_answered_survives_a_kill_of_the_server(private: Callable[..., Any], message: Make, take: Take) -> None:
    """With appendonly yes, everysec too: the file is written before the answer goes out, and only the disk lags behind."""
    made = private("--appendonly", "yes")
    with closing(adapter.transport(made.url())) as transport, closing(adapter.store(made.url())) as store:
        transport.send([message(str(number)) for number in range(20)] + [message("later", delay=600)])
        done, held, *_ = take(transport, limit=5)
        transport.settle([Done(done)])
        store.put([Write(Key("things", "a"), b"1")])
        made.kill()
        with pytest.raises(Unavailable):
            transport.send([message("while it is down")])
        with pytest.raises(Unavailable):
            store.now()
        made.start()
        depth = transport.depth(["q"])[0]
        assert (depth.ready, depth.delayed, depth.leased) == (15, 1, 4)
        assert transport.settle([Done(done)])[0].answer is Answer.LOST
        assert transport.settle([Done(held)])[0].answer is Answer.YES
        assert store.get([Key("things", "a")])[0] is not None
