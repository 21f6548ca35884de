"""Waiting receivers: woken by the server's bell, by looking again when no bell rings, and by stop and close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from jobkit.errors import Closed
from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_postgres import adapter, listener
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture
def other(url: Url) -> Iterator[PostgresTransport]:
    """Another process's transport, as far as anybody can tell."""
    with closing(adapter.transport(url)) as opened:
        yield opened


class Waiting:
    """A receive that waits in a thread of its own."""

    def __init__(self, transport: PostgresTransport, wait: float = 20) -> None:
        self.stop = threading.Event()
        self.deliveries: list[Delivery] | None = None
        self.error: Exception | None = None
        self.ended = 0.0
        self._thread = threading.Thread(target=self._run, args=(transport, wait))
        self._thread.start()

    def _run(self, transport: PostgresTransport, wait: float) -> None:
        try:
            self.deliveries = transport.receive(["q"], limit=1, wait=wait, lease=30, stop=self.stop)
        except Closed as error:
            self.error = error
        self.ended = time.monotonic()

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def listening(sql: Any, namespace: str) -> list[int]:
    found = "select pid from pg_stat_activity where application_name = :name and query like 'listen%'"
    return [pid for (pid,) in sql.run(found, name=f"jobkit {namespace}")]


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)
    return found


@pytest.fixture
def only_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers hardly look by themselves."""
    monkeypatch.setattr("jobkit_postgres.transport.Pace.pause", lambda self, queues: 60.0)
    monkeypatch.setattr("jobkit_postgres.transport.LONGEST", 60.0)


@pytest.mark.usefixtures("only_bells")
def test_a_send_elsewhere_rings(
    transport: PostgresTransport, other: PostgresTransport, namespace: str, sql: Any, message: Make
) -> None:
    waiting = Waiting(transport)
    until(lambda: listening(sql, namespace))
    other.send([message("a")])
    waiting.end()
    assert waiting.deliveries


@pytest.mark.usefixtures("only_bells")
def test_a_listener_that_was_killed_is_replaced(
    transport: PostgresTransport, other: PostgresTransport, namespace: str, sql: Any, message: Make,
    take: Take, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(listener, "TRY_EVERY", 0.0)
    (first,) = until(lambda: take(transport, wait=0.05) or listening(sql, namespace))
    sql.run("select pg_terminate_backend(:pid, 5000)", pid=first)
    until(lambda: not listening(sql, namespace))
    until(lambda: take(transport, wait=0.05) or listening(sql, namespace))
    waiting = Waiting(transport)
    other.send([message("a")])
    waiting.end()
    assert waiting.deliveries


def test_what_nobody_rings_for_is_found_within_the_declared_latency(
    transport: PostgresTransport, sql: Any, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as what an application's own transaction sends; also after a long idleness, and with nobody listening."""
    looked = threading.Event()
    monkeypatch.setattr(transport._listener, "start", looked.set)
    transport._pace._active[frozenset(["q"])] = time.monotonic() - 3600
    waiting = Waiting(transport)
    assert looked.wait(20)
    (statement,) = transport.statements([message("a")], [], [])
    sql.run(f"{statement.before}:json{statement.after}", json=statement.parameter)
    sent = time.monotonic()
    waiting.end()
    assert waiting.deliveries
    assert waiting.ended - sent < transport.capabilities.wake_latency + 1  # the machine may be busy


@pytest.mark.usefixtures("only_bells")
def test_a_receiver_wakes_by_itself_when_a_delay_it_knows_of_has_passed(
    transport: PostgresTransport, message: Make, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_postgres.listener.Listener.start", lambda self: None)
    transport.send([message("a", delay=0.3)])
    assert take(transport, wait=20)


def test_the_applications_transaction_never_rings(
    transport: PostgresTransport, namespace: str, open_sql: Any, message: Make
) -> None:
    """A notification in it would make its commit wait for everybody else's."""
    ear, mouth = open_sql(), open_sql()
    ear.run(f"listen {namespace}")
    (statement,) = transport.statements([message("a")], [], [])
    mouth.run(f"{statement.before}:json{statement.after}", json=statement.parameter)
    transport.send([message("b", queue="other")])
    ear.run("select 1")
    until(lambda: ear.run("select 1") and ear.notifications)
    assert [payload for _, _, payload in ear.notifications] == ["other"]


def test_many_sends_ring_once_in_a_while(transport: PostgresTransport, namespace: str, open_sql: Any, message: Make) -> None:
    ear = open_sql()
    ear.run(f"listen {namespace}")
    begun = time.monotonic()
    for number in range(200):
        transport.send([message(f"m{number}")])
    spent = time.monotonic() - begun
    ear.run("select 1")
    assert 1 <= len(ear.notifications) <= 1 + spent / 0.1


def test_stop_ends_a_wait(transport: PostgresTransport) -> None:
    waiting = Waiting(transport)
    until(lambda: transport._listener._connection)
    stopped = time.monotonic()
    waiting.stop.set()
    waiting.end()
    assert waiting.deliveries == []
    assert waiting.ended - stopped < 2


def test_close_ends_waits_and_the_listener(transport: PostgresTransport, namespace: str, sql: Any) -> None:
    waiting = Waiting(transport)
    until(lambda: listening(sql, namespace))
    transport.close()
    waiting.end()
    assert isinstance(waiting.error, Closed)
    name = f"jobkit {namespace}"
    until(lambda: not sql.run("select 1 from pg_stat_activity where application_name = :name", name=name))
    transport.close()


def test_an_idle_receiver_looks_ever_more_rarely(
    transport: PostgresTransport, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    claim = transport._claim

    def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return claim(*arguments)

    monkeypatch.setattr(transport, "_claim", counted)
    for _ in range(4):
        take(transport, wait=1.0)
    assert looks < 40
