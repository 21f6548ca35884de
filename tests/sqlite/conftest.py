from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.sqlite.adapter import SqliteAdapter
from jobkit.sqlite.store import SqliteStore
from jobkit.sqlite.transport import SqliteTransport
from jobkit.url import Url

CHILD = Path(__file__).with_name("child.py")

Child = subprocess.Popen[str]
Start = Callable[..., Child]
Open = Callable[..., SqliteTransport]


@pytest.fixture
def url(tmp_path: Path) -> Url:
    return Url.parse(f"sqlite:///{tmp_path}/jobs.db")


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_transport(url: Url, closing: ExitStack) -> Open:
    """Opens transports on the file, or on another *url*, with a *clock*; they are closed after the test."""

    def opened(url: Url = url, clock: Clock = SYSTEM_CLOCK) -> SqliteTransport:
        transport = SqliteAdapter(clock).transport(url)
        closing.callback(transport.close)
        return transport

    return opened


@pytest.fixture
def transport(open_transport: Open) -> SqliteTransport:
    return open_transport()


@pytest.fixture
def store(url: Url, closing: ExitStack) -> SqliteStore:
    store = SqliteAdapter().store(url)
    closing.callback(store.close)
    return store


@pytest.fixture
def child(url: Url, closing: ExitStack) -> Start:
    """Starts a command of child.py on the file; whatever still runs after the test is killed."""

    def started(command: str, *arguments: str) -> Child:
        argv = [sys.executable, str(CHILD), url.text(), command, *arguments]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        closing.callback(end, process)
        return process

    return started


def end(process: Child) -> None:
    process.kill()
    process.communicate()
