"""jobkit/sqlite/pool.py: connections that do not survive a fork, a close, or their file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jobkit.sqlite.options import path_of
from jobkit.sqlite.transport import SqliteTransport
from jobkit.transport import Message
from jobkit.url import Url

NEVER = threading.Event()

# Python 3.12 and later warn of what is tested here: a fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def message(name: str) -> Message:
    return Message(id=name, queue="q", body=b"x")


def open_files(path: str) -> int:
    """How many descriptors of this process lead to the database file."""
    folder = Path("/proc/self/fd")
    return sum(os.path.realpath(folder / number) == path for number in os.listdir(folder))


def in_child(work: str, transport: SqliteTransport, url: Url) -> int:
    """Fork, run one step in the child, and give its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = STEPS[work](transport, url)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def send_from_child(transport: SqliteTransport, url: Url) -> int:
    inherited = open_files(path_of(url))
    transport.send([message("child")])
    return 0 if inherited == 0 else 2


STEPS = {"send": send_from_child}


def test_a_forked_child_inherits_no_open_file_and_opens_its_own(transport: SqliteTransport, url: Url) -> None:
    transport.send([message("before")])
    assert open_files(path_of(url)) > 0
    assert in_child("send", transport, url) == 0
    transport.send([message("after")])
    deliveries = transport.receive(["q"], limit=9, wait=0, lease=60, stop=NEVER)
    assert [delivery.message.id for delivery in deliveries] == ["before", "child", "after"]


def test_a_fork_beside_busy_threads_neither_hangs_nor_harms_either_side(transport: SqliteTransport, url: Url) -> None:
    done = threading.Event()
    sent: list[str] = []

    def keep_sending() -> None:
        while not done.is_set():
            name = f"{threading.get_ident()}-{len(sent)}"
            transport.send([message(name)])
            sent.append(name)

    threads = [threading.Thread(target=keep_sending) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(5):
        codes.append(in_child("send", transport, url))
        transport.purge("none")
    done.set()
    for thread in threads:
        thread.join()
    assert codes == [0] * 5
    assert transport.depth(["q"])[0].ready == len(set(sent)) + 1


def test_a_file_that_was_removed_is_made_anew_and_no_job_goes_into_the_old_one(transport: SqliteTransport, url: Url) -> None:
    transport.send([message("lost with its file")])
    for name in (path_of(url), path_of(url) + "-wal", path_of(url) + "-shm"):
        os.unlink(name)
    transport.send([message("kept")])
    assert os.path.exists(path_of(url))
    assert transport.depth(["q"])[0].ready == 1


def test_many_threads_share_a_handle_and_close_leaves_no_file_open(transport: SqliteTransport, url: Url) -> None:
    def work(number: int) -> None:
        for step in range(20):
            transport.send([message(f"{number}-{step}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert transport.depth(["q"])[0].ready == 160
    transport.close()
    assert open_files(path_of(url)) == 0
