"""What a broker's restart, its death and its alarms cost. On a private server."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from jobkit.errors import Unavailable
from jobkit.transport import Answer, Delivery, Done, Message, Sent
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Open = Callable[[Url], RabbitmqTransport]

WRITTEN_DOWN = 2.0
"""
Seconds after which RabbitMQ 3.10.8 has certainly noted, on disk, that a new quorum queue exists. A queue that is killed
earlier comes back without its log and never answers again; nothing that a client can do prevents it.
"""


@pytest.fixture
def url(mortal: Any) -> Url:
    """
    A namespace that lives as long as its server. It is not removed, since RabbitMQ 3.10.8 may lose its whole quorum
    system for a while if queues are deleted shortly after a start.
    """
    url: Url = mortal.url(namespace=f"t_{secrets.token_hex(8)}", timeout="5")
    patiently(lambda: adapter.setup(url, ["q", "nothing"]))
    time.sleep(WRITTEN_DOWN)
    return url


def patiently(call: Callable[[], Any]) -> Any:
    """What the core does: try again until the broker is there."""
    end = time.monotonic() + 60
    while True:
        try:
            return call()
        except Unavailable:
            assert time.monotonic() < end, "the broker did not come back"
            time.sleep(0.2)


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_what_was_confirmed_survives_and_what_was_settled_stays_away(
    mortal: Any, url: Url, open_transport: Open, message: Make, take: Take, how: str
) -> None:
    transport = open_transport(url)
    transport.send([message(str(number)) for number in range(200)])
    loans = take(transport, limit=100)
    assert {each.answer for each in transport.settle([Done(each) for each in loans[:60]])} == {Answer.YES}
    if how == "kill":
        # Acknowledgements are written down a moment after they were taken in: nothing tells when. See the README.
        time.sleep(0.5)
        mortal.kill()
        mortal.start()
    else:
        mortal.restart()
    assert {each.answer for each in patiently(lambda: transport.settle([Done(each) for each in loans]))} == {Answer.LOST}
    assert patiently(lambda: transport.send([message("after")]))[0].answer is Answer.YES
    found: list[Delivery] = []
    while len(found) < 141:
        found += patiently(lambda: take(transport, limit=200, wait=5))
    expected = {str(number) for number in range(200)} - {each.message.id for each in loans[:60]} | {"after"}
    assert {each.message.id for each in found} == expected
    assert len(found) == 141


def test_a_waiting_receiver_is_told_and_sends_in_flight_are_unknown_or_refused(
    mortal: Any, url: Url, open_transport: Open, message: Make
) -> None:
    transport, stop = open_transport(url), threading.Event()
    answers: list[Sent] = []

    def send_on() -> None:
        while not stop.is_set():
            try:
                answers.extend(transport.send([message(str(len(answers))) for _ in range(50)]))
            except Unavailable:
                return

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(transport.receive, ["nothing"], limit=1, wait=60, lease=9, stop=stop)
        sending = pool.submit(send_on)
        time.sleep(1)
        mortal.restart()
        stop.set()
        assert isinstance(waiting.exception(10), Unavailable)
        sending.result(20)
    confirmed = sum(each.answer is Answer.YES for each in answers)
    assert {each.answer for each in answers} <= {Answer.YES, Answer.UNKNOWN}
    depth = patiently(lambda: transport.depth(["q"]))[0].ready
    assert confirmed <= depth <= len(answers)


@contextmanager
def alarm(mortal: Any) -> Iterator[None]:
    """The server is short of memory: it takes no more messages, and says so to whoever tries."""
    mortal.control("set_vm_memory_high_watermark", "0.000001")
    try:
        yield
    finally:
        mortal.control("set_vm_memory_high_watermark", "0.4")


def test_a_server_short_of_memory_keeps_no_sender_waiting_beyond_the_timeout(
    mortal: Any, url: Url, open_transport: Open, message: Make, take: Take, until: Callable[..., None]
) -> None:
    """What was written before it said so is UNKNOWN; from then on nothing is written. Receivers go on."""
    transport = open_transport(url.with_params(timeout="3"))
    transport.send([message("before")])
    with alarm(mortal):
        begun = time.monotonic()
        assert [each.answer for each in transport.send([message("stuck")])] == [Answer.UNKNOWN]
        assert time.monotonic() - begun < 10
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="takes no messages"):
            transport.send([message("refused")])
        assert time.monotonic() - begun < 2
        loans: list[Delivery] = []
        while not loans:
            loans = take(transport, wait=1)
        assert transport.settle([Done(loans[0])])[0].answer is Answer.YES
    until(lambda: _sends(transport, message("after")))
    ids = {each.message.id for each in take(transport)}
    assert "after" in ids
    assert "refused" not in ids


def _sends(transport: RabbitmqTransport, message: Message) -> bool:
    try:
        return transport.send([message])[0].answer is Answer.YES
    except Unavailable:
        return False
