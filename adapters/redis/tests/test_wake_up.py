"""Waiting receivers: woken by a token, one for each; by looking again when no token comes; and by stop and close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import redis

from jobkit.errors import Closed
from jobkit.transport import Delivery, Done, Message
from jobkit.url import Url
from jobkit_redis import adapter, bells
from jobkit_redis import transport as transport_module
from jobkit_redis.keys import Keys
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Eventually = Callable[[Callable[[], object]], None]


class Waiting:
    """A receive that waits in a thread of its own, for longer than its test does: at its end it would look once more."""

    def __init__(self, transport: RedisTransport, *queues: str, wait: float = 90) -> None:
        self.stop = threading.Event()
        self.deliveries: list[Delivery] | None = None
        self.error: Exception | None = None
        self.ended = 0.0
        self._thread = threading.Thread(target=self._run, args=(transport, queues or ("q",), wait), daemon=True)
        self._thread.start()

    def _run(self, transport: RedisTransport, queues: tuple[str, ...], wait: float) -> None:
        try:
            self.deliveries = transport.receive(queues, limit=1, wait=wait, lease=30, stop=self.stop)
        except Closed as error:
            self.error = error
        self.ended = time.monotonic()

    def end(self) -> list[Delivery]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.deliveries or []


@pytest.fixture
def other(own_url: Url) -> Iterator[RedisTransport]:
    """Another process's transport, as far as anybody can tell."""
    with closing(adapter.transport(own_url)) as opened:
        yield opened


@pytest.fixture
def only_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself before the test has given up."""
    monkeypatch.setattr(transport_module, "LONGEST_LOOK", 90.0)


def waiting_on(client: redis.Redis, url: Url) -> int:
    """How many connections wait for a token of the namespace."""
    name = f"jobkit:{url.params['namespace']}"
    return sum(1 for each in client.client_list() if each["name"] == name and "b" in each["flags"])


@pytest.mark.usefixtures("only_bells")
def test_a_send_wakes_a_waiting_receiver(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    eventually: Eventually,
) -> None:
    waiting = Waiting(own_transport, "high", "q")
    eventually(lambda: waiting_on(own_client, own_url) == 1)
    sent = time.monotonic()
    other.send([message("a")])
    assert [each.message.id for each in waiting.end()] == ["a"]
    assert waiting.ended - sent < 20


@pytest.mark.usefixtures("only_bells")
def test_one_message_wakes_one_receiver_and_the_others_sleep_on(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    eventually: Eventually,
) -> None:
    several = [Waiting(own_transport) for _ in range(4)]
    eventually(lambda: waiting_on(own_client, own_url) == 4)
    own_client.config_resetstat()
    other.send([message("a")])
    eventually(lambda: any(each.deliveries for each in several))
    # Each look would be a script: there were the send and the claim of the one that was woken.
    assert own_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 2
    for each in several:
        each.stop.set()
    assert sum(len(each.end()) for each in several) == 1


@pytest.mark.usefixtures("only_bells")
def test_who_takes_less_than_there_is_wakes_the_next_one(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    eventually: Eventually,
) -> None:
    several = [Waiting(own_transport) for _ in range(4)]
    eventually(lambda: waiting_on(own_client, own_url) == 4)
    other.send([message(str(number)) for number in range(4)])
    assert sorted(each.message.id for waiting in several for each in waiting.end()) == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("only_bells")
def test_what_comes_back_or_follows_wakes_a_receiver_too(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    take: Take,
    eventually: Eventually,
) -> None:
    other.send([message("a", queue="first")])
    waiting = Waiting(own_transport)
    eventually(lambda: waiting_on(own_client, own_url) == 1)
    other.settle([Done(each, (message("next"),)) for each in take(other, "first")])
    assert [each.message.id for each in waiting.end()] == ["next"]


def test_a_token_that_was_lost_costs_a_look(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    eventually: Eventually,
) -> None:
    waiting = Waiting(own_transport)
    eventually(lambda: waiting_on(own_client, own_url) == 1)
    due, _, _, body, _ = Keys(own_url.params["namespace"]).of_queue("q")
    own_client.hset(body, "silent", "x")
    own_client.zadd(due, {"silent": 1})
    assert [each.message.id for each in waiting.end()] == ["silent"]


def test_a_delay_that_ends_and_a_lease_that_lapses_are_found_in_time(
    own_transport: RedisTransport, other: RedisTransport, message: Make, take: Take
) -> None:
    other.send([message("a")])
    take(other, lease=0.4)
    begun = time.monotonic()
    assert [each.receives for each in Waiting(own_transport).end()] == [2]
    other.send([message("b", delay=0.4)])
    assert [each.message.id for each in Waiting(own_transport).end()] == ["b"]
    assert time.monotonic() - begun >= 0.7


@pytest.mark.usefixtures("only_bells")
def test_who_has_stopped_waiting_takes_no_token_from_those_who_wait(
    own_transport: RedisTransport,
    other: RedisTransport,
    own_client: redis.Redis,
    own_url: Url,
    message: Make,
    take: Take,
    eventually: Eventually,
) -> None:
    """A busy receiver that still stood in the server's line would be woken in place of an idle one."""
    assert take(own_transport, wait=0.2) == []
    assert waiting_on(own_client, own_url) == 0
    waiting = Waiting(other)
    eventually(lambda: waiting_on(own_client, own_url) == 1)
    own_transport.send([message("a")])
    assert [each.message.id for each in waiting.end()] == ["a"]


def test_connections_that_waited_are_used_again(
    own_transport: RedisTransport, own_client: redis.Redis, own_url: Url, take: Take
) -> None:
    name = f"jobkit:{own_url.params['namespace']}"
    take(own_transport, wait=0.1)
    before = {each["id"] for each in own_client.client_list() if each["name"] == name}
    take(own_transport, wait=0.1)
    take(own_transport, "other", wait=0.1)
    after = {each["id"] for each in own_client.client_list() if each["name"] == name}
    assert before == after
    assert len(after) == 2


def test_stop_and_close_end_a_wait_soon(
    own_transport: RedisTransport, other: RedisTransport, own_client: redis.Redis, own_url: Url, eventually: Eventually
) -> None:
    one, two = Waiting(own_transport), Waiting(other)
    eventually(lambda: waiting_on(own_client, own_url) == 2)
    begun = time.monotonic()
    one.stop.set()
    assert one.end() == []
    other.close()
    two.end()
    assert isinstance(two.error, Closed)
    assert time.monotonic() - begun < 10
    eventually(lambda: waiting_on(own_client, own_url) == 0)


def test_a_user_who_may_not_wait_for_tokens_looks_instead(
    own_transport: RedisTransport, own_url: Url, own_client: redis.Redis, message: Make, take: Take
) -> None:
    """And does not look without pause: a refused wait must not end at once."""
    own_client.acl_setuser("deaf", enabled=True, passwords=["+x"], commands=["+@all", "-blpop"], keys=["*"], reset=True)
    with closing(adapter.transport(Url.parse(own_url.text().replace("//", "//deaf:x@")))) as deaf:
        own_transport.send([message("later", delay=1.0)])
        own_client.config_resetstat()
        assert [each.message.id for each in take(deaf, wait=20)] == ["later"]
    assert own_client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 6


def test_a_short_wait_asks_for_no_token(own_transport: RedisTransport, own_client: redis.Redis, take: Take) -> None:
    own_client.config_resetstat()
    take(own_transport, wait=bells.SHORTEST / 2)
    assert "cmdstat_blpop" not in own_client.info("commandstats")
