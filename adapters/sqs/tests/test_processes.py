"""Forked children, and calls to a server that says nothing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from jobkit.errors import JobKitError, Unavailable
from jobkit.store import Key
from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_sqs import adapter
from jobkit_sqs.transport import SqsTransport

Take = Callable[..., list[Delivery]]
Make = Callable[..., Message]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_works_on_connections_of_its_own(transport: SqsTransport, take: Take, message: Make) -> None:
    """Threads, locks and sockets of the parent are none of the child's."""
    transport.send([message(f"parent {number}") for number in range(25)])
    child = os.fork()
    if child == 0:
        try:
            answers = transport.send([message(f"child {number}") for number in range(25)])
            os._exit(sum(answer.answer.value != "yes" for answer in answers))
        except BaseException:  # noqa: BLE001 - the child must not run on into pytest
            os._exit(99)
    transport.send([message("after")])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    seen: list[str] = []
    while found := take(transport, limit=60, wait=1):
        seen += [delivery.message.id for delivery in found]
    assert len(seen) == 51


@pytest.fixture
def silent() -> Iterator[Url]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield Url.parse(f"sqs://us-east-1?endpoint=http://127.0.0.1:{port}&timeout=1&poll=1")


def test_every_call_to_a_silent_server_ends(silent: Url, take: Take, message: Make) -> None:
    transport, store = adapter.transport(silent), adapter.store(silent)
    assert store is not None
    calls: list[Callable[[], object]] = [
        lambda: transport.send([message("a")]),
        lambda: take(transport, wait=5),
        lambda: transport.depth(["q"]),
        lambda: transport.purge("q"),
        lambda: store.get([Key("things", "one")]),
    ]
    for call in calls:
        begun = time.monotonic()
        with pytest.raises(JobKitError):
            call()
        assert time.monotonic() - begun < 20
    transport.close()
    store.close()


def test_the_next_call_after_an_outage_connects_anew(url: Url, transport: SqsTransport, message: Make) -> None:
    nowhere = adapter.transport(url.with_params(endpoint="http://127.0.0.1:9"))
    for _ in range(2):
        with pytest.raises(Unavailable):
            nowhere.send([message("a")])
    nowhere.close()
    assert transport.send([message("a")])[0].answer.value == "yes"
