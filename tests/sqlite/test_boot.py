"""jobkit/sqlite/boot.py: what a restart of the host does to delays, leases and expiry."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from jobkit.clock import ManualClock
from jobkit.sqlite.boot import RowClock, boot_id
from jobkit.sqlite.database import Database
from jobkit.sqlite.doorbell import Doorbell
from jobkit.sqlite.options import Options, path_of
from jobkit.sqlite.store import SqliteStore
from jobkit.sqlite.transport import SqliteTransport
from jobkit.store import Key, Write
from jobkit.transport import Answer, Delivery, Done, Message
from jobkit.url import Url

NEVER = threading.Event()


class Host:
    """One boot of a host: its own steady clock, and what opens the file under it."""

    def __init__(self, url: Url, boot: str, clock: ManualClock) -> None:
        self.clock = clock
        self._databases = [Database(path_of(url), Options(), RowClock(clock, boot)) for _ in range(2)]
        self.transport = SqliteTransport(self._databases[0], Doorbell(path_of(url)))
        self.store = SqliteStore(self._databases[1])

    def receive(self, lease: float = 1000) -> list[Delivery]:
        return self.transport.receive(["q"], limit=9, wait=0, lease=lease, stop=NEVER)

    def ids(self) -> list[str]:
        return [delivery.message.id for delivery in self.receive()]

    def halt(self) -> None:
        for database in self._databases:
            database.close()


@pytest.fixture
def first(url: Url) -> Host:
    """A host that has been up for a day, with messages and a record in the file."""
    clock = ManualClock()
    clock.advance(86400)
    host = Host(url, "first", clock)
    host.transport.send([Message(id="ready", queue="q", body=b""), Message(id="later", queue="q", body=b"", delay=100)])
    host.store.put([Write(Key("box", "name"), b"v", ttl=100)])
    return host


@pytest.mark.parametrize("elapsed", [40, -5000], ids=["the wall clock went on", "the wall clock was set back"])
def test_after_a_reboot_a_delay_and_an_expiry_have_left_what_they_had(first: Host, url: Url, elapsed: float) -> None:
    first.halt()
    passed = max(0, elapsed)
    second = Host(url, "second", ManualClock(first.clock.now() + timedelta(seconds=elapsed)))
    assert second.ids() == ["ready"]
    second.clock.advance(99 - passed)
    assert second.ids() == []
    assert second.store.get([Key("box", "name")]) != [None]
    second.clock.advance(1.5)
    assert second.ids() == ["later"]
    assert second.store.get([Key("box", "name")]) == [None]
    second.halt()


def test_after_a_reboot_loans_are_over_at_once_and_their_holders_have_lost_them(first: Host, url: Url) -> None:
    (loan,) = first.receive(lease=10_000)
    first.halt()
    second = Host(url, "second", ManualClock(first.clock.now() + timedelta(seconds=1)))
    assert second.transport.depth(["q"])[0].ready == 1
    assert second.transport.settle([Done(loan)])[0].answer is Answer.LOST
    (again,) = second.receive()
    assert again.receives == 2
    second.halt()


def test_within_one_boot_nothing_is_moved_however_the_wall_clock_jumps(first: Host, url: Url) -> None:
    (loan,) = first.receive(lease=50)

    class Jumped(ManualClock):
        def steady(self) -> float:
            return first.clock.steady()

    other = Host(url, "first", Jumped(first.clock.now() + timedelta(days=3)))
    assert other.ids() == []
    assert other.transport.settle([Done(loan)])[0].answer is Answer.YES
    first.halt()
    other.halt()


def test_a_wall_clock_that_is_set_right_after_the_boot_does_not_count_as_time_gone_by(url: Url) -> None:
    """The pair of readings is renewed each minute, so a late first correction of the clock does no harm."""
    clock = ManualClock()
    host = Host(url, "first", clock)
    host.transport.send([Message(id="later", queue="q", body=b"", delay=10_000)])
    clock._start += timedelta(days=300)
    clock.advance(61)
    host.transport.purge("any write will do")
    host.halt()
    second = Host(url, "second", ManualClock(clock.now() + timedelta(seconds=100)))
    second.clock.advance(10_000 - 61 - 100 - 1)
    assert second.ids() == []
    second.clock.advance(2)
    assert second.ids() == ["later"]
    second.halt()


def test_without_a_boot_id_rows_are_dated_by_the_wall_clock() -> None:
    clock = ManualClock()
    assert RowClock(clock, "").now() == clock.now().timestamp()
    assert RowClock(clock, "some").now() == clock.steady()
    assert boot_id() == boot_id()
