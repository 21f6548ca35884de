"""jobkit/sqlite/doorbell.py: a hint that wakes whoever waits, and harms nobody when it fails."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobkit.sqlite.doorbell import Doorbell

PATIENCE = 30.0


@pytest.fixture
def root() -> Iterator[str]:
    """A short one: a socket's path has room for some hundred characters, and pytest's own directories may be longer."""
    with tempfile.TemporaryDirectory() as directory:
        yield os.path.join(directory, "bells")


def woken_early(bell: Doorbell, other: Doorbell) -> bool:
    with bell.listen() as ear:
        other.ring()
        begin = time.monotonic()
        ear.wait(PATIENCE)
        return time.monotonic() - begin < PATIENCE / 2


def test_a_ring_wakes_who_listens_on_the_same_file_by_whatever_link(tmp_path: Path, root: str) -> None:
    (tmp_path / "jobs.db").touch()
    (tmp_path / "link.db").symlink_to("jobs.db")
    assert woken_early(Doorbell(str(tmp_path / "jobs.db"), root), Doorbell(str(tmp_path / "link.db"), root))


def test_a_ring_that_came_before_the_wait_is_not_missed_and_all_listeners_hear_it(root: str) -> None:
    bell = Doorbell("/a.db", root)
    with bell.listen() as first, bell.listen() as second:
        bell.ring()
        begin = time.monotonic()
        first.wait(PATIENCE)
        second.wait(PATIENCE)
        assert time.monotonic() - begin < PATIENCE


def test_a_full_bell_does_not_hold_the_sender_up(root: str) -> None:
    bell = Doorbell("/a.db", root)
    with bell.listen():
        for _ in range(2000):
            bell.ring()


def test_another_files_bell_is_not_rung(root: str) -> None:
    with Doorbell("/a.db", root).listen() as ear:
        Doorbell("/b.db", root).ring()
        begin = time.monotonic()
        ear.wait(0.05)
        assert time.monotonic() - begin >= 0.05


def test_the_socket_of_a_killed_process_is_removed_by_the_next_ring(root: str) -> None:
    bell = Doorbell("/a.db", root)
    with bell.listen():
        (living,) = os.listdir(root)
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        dead.bind(os.path.join(root, living + "x"))
        dead.close()
        bell.ring()
        assert os.listdir(root) == [living]
    assert os.listdir(root) == []


def test_the_directory_is_private_and_one_that_is_not_is_left_alone(root: str) -> None:
    bell = Doorbell("/a.db", root)
    with bell.listen():
        assert os.stat(root).st_mode & 0o777 == 0o700
    os.chmod(root, 0o777)
    with bell.listen() as ear:
        assert os.listdir(root) == []
        bell.ring()
        ear.wait(0.01)


def test_without_a_directory_a_listener_waits_its_time_and_a_ring_does_nothing(tmp_path: Path) -> None:
    bell = Doorbell("/a.db", str(tmp_path / "missing" / "bells"))
    with bell.listen() as ear:
        bell.ring()
        begin = time.monotonic()
        ear.wait(0.05)
        assert time.monotonic() - begin >= 0.05


def test_a_path_too_long_for_a_socket_leaves_the_bell_out(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    bell = Doorbell("/a.db", str(long))
    with bell.listen() as ear:
        bell.ring()
        ear.wait(0.01)
