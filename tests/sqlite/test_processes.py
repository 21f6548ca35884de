"""The promises that only real processes can put to the test."""

from __future__ import annotations

import threading
import time

import pytest

from jobkit.errors import Unavailable
from jobkit.sqlite import doorbell
from jobkit.sqlite.transport import SqliteTransport
from jobkit.transport import Done, Message
from jobkit.url import Url

from .conftest import Child, Open, Start

NEVER = threading.Event()


def messages(*names: str) -> list[Message]:
    return [Message(id=name, queue="q", body=b"x") for name in names]


def said(child: Child) -> list[str]:
    assert child.stdout is not None
    return child.stdout.readline().split()


def tell(child: Child) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def test_what_a_killed_process_held_comes_back_when_its_lease_ends(transport: SqliteTransport, child: Start) -> None:
    transport.send(messages("a"))
    holder = child("claim_and_hang", "2")
    assert said(holder) == ["holds", "a"]
    assert transport.depth(["q"])[0].leased == 1
    holder.kill()
    (delivery,) = transport.receive(["q"], limit=1, wait=30, lease=60, stop=NEVER)
    assert (delivery.message.id, delivery.receives) == ("a", 2)
    assert transport.settle([Done(delivery)])[0].answer.value == "yes"


def test_several_processes_never_take_the_same_message_and_leave_none(transport: SqliteTransport, child: Start) -> None:
    names = {f"{number:04d}" for number in range(600)}
    transport.send(messages(*names))
    children = [child("drain", "600") for _ in range(4)]
    assert [said(each) for each in children] == [["ready"]] * 4
    for each in children:
        tell(each)
    got: list[str] = []
    for each in children:
        while (line := said(each))[0] == "got":
            got.append(line[1])
    assert sorted(got) == sorted(names)


@pytest.mark.parametrize("bell", [True, False], ids=["with the bell", "with the bell lost"])
def test_a_waiting_process_is_woken_by_another_ones_send(
    transport: SqliteTransport, child: Start, monkeypatch: pytest.MonkeyPatch, bell: bool
) -> None:
    if not bell:
        monkeypatch.setattr(doorbell.Doorbell, "ring", lambda self: None)
    waiting = child("wait")
    assert said(waiting) == ["waits"]
    delays = []
    for name in "abcde":
        sent = time.monotonic()
        transport.send(messages(name))
        _, got, at = said(waiting)
        assert got == name
        delays.append(float(at) - sent)
    assert min(delays) < transport.capabilities.wake_latency


def test_processes_that_open_a_new_file_at_once_make_one_schema(transport: SqliteTransport, child: Start) -> None:
    children = [child("open_anew", str(number)) for number in range(4)]
    assert [said(each) for each in children] == [["ready"]] * 4
    for each in children:
        tell(each)
    assert [said(each) for each in children] == [["sent", str(number)] for number in range(4)]
    assert transport.depth(["q"])[0].ready == 4


def test_a_busy_writer_is_waited_for(transport: SqliteTransport, child: Start) -> None:
    transport.depth([])
    writer = child("hold_lock")
    assert said(writer) == ["locked"]
    sender = threading.Thread(target=transport.send, args=(messages("a"),))
    sender.start()
    sender.join(0.05)
    assert sender.is_alive()
    # Reading goes on meanwhile, and so does waiting for messages.
    assert transport.receive(["q"], limit=1, wait=0, lease=1, stop=NEVER) == []
    tell(writer)
    sender.join()
    assert transport.depth(["q"])[0].ready == 1


def test_a_writer_that_never_ends_makes_the_file_unavailable_and_nothing_is_changed(
    url: Url, open_transport: Open, child: Start
) -> None:
    transport = open_transport(url.with_params(timeout="0.1"))
    transport.depth([])
    writer = child("hold_lock")
    assert said(writer) == ["locked"]
    with pytest.raises(Unavailable, match="locked"):
        transport.send(messages("a"))
    tell(writer)
    assert said(writer) == ["freed"]
    assert transport.depth(["q"])[0].ready == 0
    transport.send(messages("a"))
    assert transport.depth(["q"])[0].ready == 1
