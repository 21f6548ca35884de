"""The README's three users can do what it says, and no more. On a private server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobkit.errors import ConfigurationError, SetupRequired
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Open = Callable[[Url], RabbitmqTransport]

NAMESPACE = "shop"

# configure, write, read
RIGHTS = {
    "owner": (rf"^{NAMESPACE}\.", rf"^({NAMESPACE}\.|amq\.default$)", rf"^{NAMESPACE}\."),
    "producer": ("^$", r"^amq\.default$", "^$"),
    "worker": ("^$", r"^amq\.default$", rf"^{NAMESPACE}\."),
}


@pytest.fixture
def urls(broker: Any) -> Iterator[dict[str, Url]]:
    urls = {}
    for user, rights in RIGHTS.items():
        broker.control("add_user", user, user)
        broker.control("set_permissions", user, *rights)
        urls[user] = broker.url(user, namespace=NAMESPACE, timeout="5")
    yield urls
    adapter.teardown(urls["owner"])
    for user in RIGHTS:
        broker.control("delete_user", user)


def test_the_owner_sets_up_checks_and_tears_down(urls: dict[str, Url]) -> None:
    assert adapter.setup(urls["owner"], ["q"])
    assert all(finding.level == "ok" for finding in adapter.check(urls["owner"]) if "RabbitMQ" not in finding.what)
    adapter.teardown(urls["owner"])
    assert adapter.setup(urls["owner"], ["q"])


def test_a_producer_sends_and_can_not_receive(urls: dict[str, Url], open_transport: Open, message: Make, take: Take) -> None:
    adapter.setup(urls["owner"], ["q"])
    producer = open_transport(urls["producer"])
    assert producer.send([message("one")])[0].answer is Answer.YES
    assert producer.depth(["q"])[0].ready == 1
    with pytest.raises(ConfigurationError, match="ACCESS_REFUSED"):
        take(producer)


def test_a_worker_does_all_that_workers_do(urls: dict[str, Url], open_transport: Open, message: Make, take: Take) -> None:
    adapter.setup(urls["owner"], ["q"])
    worker = open_transport(urls["worker"])
    worker.send([message("one"), message("two")])
    first, second = take(worker)
    assert worker.extend([first, second], lease=20)[1].answer is Answer.YES
    settled = worker.settle([Done(first, (message("three"),)), Again(second, message("two", b"again"))])
    assert [each.answer for each in settled] == [Answer.YES, Answer.YES]
    assert worker.purge("q") == 2
    warned = [finding.what for finding in adapter.check(urls["worker"]) if finding.level == "warning"]
    assert "this user may not make queues" in warned


def test_neither_makes_a_queue_and_both_say_what_to_run(
    urls: dict[str, Url], open_transport: Open, message: Make, take: Take
) -> None:
    adapter.setup(urls["owner"], ["q"])
    for user in ("producer", "worker"):
        with pytest.raises(SetupRequired, match="jobkit setup"):
            open_transport(urls[user]).send([message("one", queue="new")])
    with pytest.raises(SetupRequired, match="jobkit setup"):
        take(open_transport(urls["worker"]), "new")


def test_who_may_not_publish_is_told_so(
    broker: Any, urls: dict[str, Url], open_transport: Open, message: Make, take: Take
) -> None:
    adapter.setup(urls["owner"], ["q"])
    broker.control("set_permissions", "producer", "^$", "^$", "^$")
    producer = open_transport(urls["producer"])
    with pytest.raises(ConfigurationError, match="ACCESS_REFUSED"):
        producer.send([message("one")])
    assert take(open_transport(urls["worker"])) == []
