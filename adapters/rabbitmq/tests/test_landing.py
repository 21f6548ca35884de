"""What comes back too often is put aside, and not dropped."""

from __future__ import annotations

from collections.abc import Callable

import amqp
import pytest

from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.queues import DELIVERY_LIMIT, Names
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Until = Callable[..., None]


def reject(channel: amqp.Channel, queue: str, times: int) -> None:
    for _ in range(times):
        got = channel.basic_get(queue)
        assert got is not None
        channel.basic_reject(got.delivery_tag, requeue=True)


@pytest.fixture
def landed(url: Url, transport: RabbitmqTransport, message: Make, channel: amqp.Channel, until: Until) -> Names:
    """A message has come back once more than it may."""
    names = Names(url.params["namespace"])
    transport.send([message("poison", b"body")])
    reject(channel, names.of("q"), DELIVERY_LIMIT + 1)
    until(lambda: channel.queue_declare(names.landing, passive=True).message_count == 1)
    return names


def test_a_message_at_its_limit_is_told_of_and_sent_home_by_setup(
    url: Url, transport: RabbitmqTransport, landed: Names, take: Take, channel: amqp.Channel
) -> None:
    assert take(transport) == []
    assert any(landed.landing in finding.what for finding in adapter.check(url) if finding.level == "error")
    assert [change.what for change in adapter.setup(url, [])] == ["sent 1 messages home that had come back too often"]
    (home,) = take(transport, wait=10)
    assert (home.message.id, home.message.body, home.receives) == ("poison", b"body", 1)
    assert channel.queue_declare(landed.landing, passive=True).message_count == 0


def test_its_history_stays_behind(url: Url, landed: Names, channel: amqp.Channel) -> None:
    """With x-death copied along, RabbitMQ up to 3.13 takes the second trip for a circle and drops the message."""
    adapter.setup(url, [])
    got = channel.basic_get(landed.of("q"), no_ack=True)
    assert got is not None
    assert "x-death" not in (got.properties.get("application_headers") or {})


def test_receives_is_counted_by_the_broker_whoever_gives_back(
    url: Url, transport: RabbitmqTransport, message: Make, take: Take, channel: amqp.Channel
) -> None:
    transport.send([message("counted")])
    reject(channel, Names(url.params["namespace"]).of("q"), 3)
    (loan,) = take(transport, wait=10)
    assert loan.receives == 4
