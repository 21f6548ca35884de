"""Cut, stalled and half-open connections: every call ends in time, and says no more than it knows."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from jobkit.errors import Unavailable, Uncertain
from jobkit.transport import Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Open = Callable[[Url], RabbitmqTransport]


class Proxy:
    """
    A way to the server that can be cut, and can swallow what the server says.

    Attributes:
        mute: What comes from the server goes nowhere.
        swallowed: Bytes that went there.
    """

    def __init__(self, url: Url) -> None:
        self._target = (url.host or "127.0.0.1", url.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.mute = False
        self.refuse = False
        self.swallowed = 0
        self.url = Url.parse(f"amqp://guest:guest@127.0.0.1:{self._listener.getsockname()[1]}//").with_params(**url.params)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            self._pairs.append((client, socket.create_connection(self._target)))
            threading.Thread(target=self._carry, args=self._pairs[-1], daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client:
                        server.sendall(data)
                    elif self.mute:
                        self.swallowed += len(data)
                    else:
                        client.sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()


@pytest.fixture
def proxy(url: Url) -> Iterator[Proxy]:
    proxy = Proxy(url.with_params(timeout="2", heartbeat="30"))
    yield proxy
    proxy.close()


@pytest.fixture
def shaky(proxy: Proxy, open_transport: Open, message: Make, take: Take) -> RabbitmqTransport:
    """A transport behind the proxy, with both of its connections open."""
    transport = open_transport(proxy.url)
    transport.send([message("warm")])
    transport.settle([Done(each) for each in take(transport)])
    return transport


def test_a_send_whose_confirm_is_lost_is_unknown_and_was_stored(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, transport: RabbitmqTransport, take: Take
) -> None:
    proxy.mute = True
    begun = time.monotonic()
    assert [each.answer for each in shaky.send([message("a"), message("b")])] == [Answer.UNKNOWN] * 2
    assert time.monotonic() - begun < 10
    assert proxy.swallowed
    assert [each.message.id for each in take(transport)] == ["a", "b"]


def test_after_silence_the_connection_is_given_up_and_the_next_call_connects_anew(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, take: Take
) -> None:
    """A late confirm must not be taken for that of a later message."""
    proxy.mute = True
    assert shaky.send([message("a")])[0].answer is Answer.UNKNOWN
    proxy.mute = False
    assert shaky.send([message("b")])[0].answer is Answer.YES
    assert len(take(shaky)) == 2


def test_a_settlement_whose_reply_is_lost_is_unknown(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, take: Take
) -> None:
    shaky.send([message("a"), message("b")])
    loans = take(shaky)
    proxy.mute = True
    begun = time.monotonic()
    assert [each.answer for each in shaky.settle([Done(each) for each in loans])] == [Answer.UNKNOWN] * 2
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("call", ["receive", "wait", "depth", "purge"])
def test_a_silent_server_ends_no_call_late(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, take: Take, call: str
) -> None:
    shaky.send([message("a"), message("b")])
    calls: dict[str, Callable[[], object]] = {
        "receive": lambda: take(shaky),
        "wait": lambda: take(shaky, wait=1),
        "depth": lambda: shaky.depth(["q"]),
        "purge": lambda: shaky.purge("q"),
    }
    proxy.mute = True
    begun = time.monotonic()
    with pytest.raises((Unavailable, Uncertain)):
        calls[call]()
    assert time.monotonic() - begun < 10


def test_a_server_that_does_not_confirm_an_extension_leaves_it_unknown(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, take: Take, until: Callable[..., None]
) -> None:
    """A holder that is cut off must not believe in a lease that the broker has ended with the connection."""
    shaky.send([message("a")])
    (loan,) = take(shaky)
    proxy.mute = True
    assert shaky.extend([loan], lease=20)[0].answer is Answer.UNKNOWN
    until(lambda: loan.receipt.book.closed)  # type: ignore[attr-defined]
    assert shaky.extend([loan], lease=20)[0].answer is Answer.LOST


def test_after_a_cut_loans_are_lost_and_the_next_calls_work(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, take: Take, until: Callable[..., None]
) -> None:
    shaky.send([message("a")])
    (loan,) = take(shaky)
    proxy.cut()
    until(lambda: loan.receipt.book.closed)  # type: ignore[attr-defined]
    assert shaky.settle([Done(loan)])[0].answer is Answer.LOST
    assert shaky.send([message("b")])[0].answer is Answer.YES
    found: list[Delivery] = []
    while len(found) < 2:
        found += take(shaky, wait=5)
    assert sorted((each.message.id, each.receives) for each in found) == [("a", 2), ("b", 1)]


def test_where_no_connection_can_be_made_nothing_was_sent(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, transport: RabbitmqTransport
) -> None:
    proxy.refuse = True
    proxy.cut()
    for _ in range(20):
        try:
            answers = shaky.send([message("a")])
        except Unavailable:
            break
        assert answers[0].answer is Answer.UNKNOWN
    else:
        pytest.fail("sends to nowhere were answered")
    assert transport.depth(["q"])[0].ready == 0


def test_cuts_at_any_moment_lose_nothing_that_was_confirmed(
    proxy: Proxy, shaky: RabbitmqTransport, message: Make, transport: RabbitmqTransport, take: Take
) -> None:
    confirmed: set[str] = set()
    unknown: set[str] = set()
    stop = threading.Event()

    def cut_often() -> None:
        while not stop.wait(0.05):
            proxy.cut()

    cutter = threading.Thread(target=cut_often)
    cutter.start()
    for number in range(60):
        batch = [message(f"{number}.{part}") for part in range(20)]
        try:
            answers = shaky.send(batch)
        except Unavailable:
            continue
        for each, sent in zip(batch, answers, strict=True):
            (confirmed if sent.answer is Answer.YES else unknown).add(each.id)
    stop.set()
    cutter.join()
    stored: set[str] = set()
    while found := take(transport, limit=200):
        stored |= {each.message.id for each in found}
    assert confirmed <= stored <= confirmed | unknown
    assert unknown, "no cut hit a send"


def test_a_cut_while_waiting_is_told_at_once(proxy: Proxy, shaky: RabbitmqTransport, take: Take) -> None:
    threading.Timer(0.5, proxy.cut).start()
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        take(shaky, wait=60)
    assert time.monotonic() - begun < 20
