"""What the tests run in processes of their own: ``python child.py URL COMMAND [ARGUMENT ...]``. One line per event."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable

from jobkit.sqlite import adapter
from jobkit.sqlite.options import path_of
from jobkit.sqlite.transport import SqliteTransport
from jobkit.transport import Done, Message
from jobkit.url import Url

NEVER = threading.Event()


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def claim_and_hang(url: Url, lease: str) -> None:
    """Borrow one message, and never settle it."""
    for delivery in open_transport(url).receive(["q"], limit=1, wait=30, lease=float(lease), stop=NEVER):
        say("holds", delivery.message.id)
    NEVER.wait()


def drain(url: Url, expected: str) -> None:
    """Take whatever comes, a few at a time, until all *expected* messages were taken by somebody."""
    transport = open_transport(url)
    say("ready")
    sys.stdin.readline()
    while sum(depth.ready or 0 for depth in transport.depth(["q"])):
        for delivery in transport.receive(["q"], limit=3, wait=0, lease=60, stop=NEVER):
            say("got", delivery.message.id)
            transport.settle([Done(delivery)])
    say("end", expected)


def wait(url: Url) -> None:
    """Wait for messages, and say when each one came, on the clock that all processes share."""
    transport = open_transport(url)
    transport.depth([])
    say("waits")
    while True:
        for delivery in transport.receive(["q"], limit=1, wait=30, lease=60, stop=NEVER):
            say("got", delivery.message.id, time.monotonic())
            transport.settle([Done(delivery)])


def send(url: Url, name: str) -> None:
    open_transport(url).send([Message(id=name, queue="q", body=b"x")])
    say("sent", name)


def open_anew(url: Url, name: str) -> None:
    """Open the file the moment that the other processes do."""
    say("ready")
    sys.stdin.readline()
    send(url, name)


def hold_lock(url: Url) -> None:
    """Hold the write lock until a line comes in."""
    connection = sqlite3.connect(path_of(url), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("locked")
    sys.stdin.readline()
    connection.execute("ROLLBACK")
    say("freed")


def open_transport(url: Url) -> SqliteTransport:
    return adapter.transport(url)


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (claim_and_hang, drain, wait, send, open_anew, hold_lock)
}

if __name__ == "__main__":
    COMMANDS[sys.argv[2]](Url.parse(sys.argv[1]), *sys.argv[3:])
