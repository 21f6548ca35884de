"""Setup, teardown and check."""

from __future__ import annotations

import amqp
import pytest

from jobkit.errors import Unavailable
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.queues import Names


def exists(channel: amqp.Channel, name: str) -> bool:
    try:
        channel.queue_declare(name, passive=True)
    except amqp.NotFound:
        return False
    return True


def test_setup_tells_what_it_made_and_nothing_the_second_time(bare: Url) -> None:
    namespace = bare.params["namespace"]
    made = [change.what for change in adapter.setup(bare, ["a", "b", "a"])]
    assert made == [f"made queue {namespace}.{rest}" for rest in (".landing", ".catalogue", "a", "b")]
    assert adapter.setup(bare, ["a", "b"]) == []
    assert [change.what for change in adapter.setup(bare, ["b", "c"])] == [f"made queue {namespace}.c"]


def test_queues_are_quorum_queues_with_an_explicit_limit(url: Url, channel: amqp.Channel) -> None:
    """A declaration with the same arguments is accepted, and one with another limit is not."""
    names = Names(url.params["namespace"])
    arguments = names.arguments(names.of("q"))
    assert (arguments["x-queue-type"], arguments["x-delivery-limit"]) == ("quorum", 1000)
    channel.queue_declare(names.of("q"), durable=True, auto_delete=False, arguments=arguments)
    with pytest.raises(amqp.PreconditionFailed):
        channel.queue_declare(names.of("q"), durable=True, auto_delete=False, arguments=arguments | {"x-delivery-limit": 9})


def test_teardown_removes_every_queue_and_does_no_harm_again(bare: Url, channel: amqp.Channel) -> None:
    names = Names(bare.params["namespace"])
    adapter.setup(bare, ["a", "b"])
    adapter.teardown(bare)
    assert not any(exists(channel, name) for name in (names.of("a"), names.of("b"), names.landing, names.catalogue))
    adapter.teardown(bare)


def test_a_teardown_that_was_interrupted_can_be_done_again(bare: Url, channel: amqp.Channel) -> None:
    """The catalogue goes last, and what was read from it goes back to it with the connection."""
    names = Names(bare.params["namespace"])
    adapter.setup(bare, ["a", "b"])
    channel.basic_get(names.catalogue)
    channel.queue_delete(names.of("a"))
    connection = channel.connection
    channel.close()
    adapter.teardown(bare)
    assert not exists(connection.channel(), names.of("b"))


def test_check_finds_nothing_wrong_with_a_namespace_that_was_set_up(url: Url) -> None:
    levels = {finding.level for finding in adapter.check(url) if not finding.what.startswith("RabbitMQ")}
    assert levels == {"ok"}


def test_check_changes_nothing_and_says_what_to_run(bare: Url, channel: amqp.Channel) -> None:
    missing = [finding for finding in adapter.check(bare) if finding.level == "error"]
    assert "jobkit setup" in missing[0].advice
    assert not exists(channel, Names(bare.params["namespace"]).landing)


def test_check_finds_a_queue_of_another_kind(bare: Url, channel: amqp.Channel) -> None:
    names = Names(bare.params["namespace"])
    adapter.setup(bare, [])
    channel.queue_delete(names.landing)
    channel.queue_declare(names.landing, durable=True, auto_delete=False)
    assert any("not made by this jobkit" in each.what for each in adapter.check(bare) if each.level == "error")


def test_a_lease_near_the_usual_limit_is_warned_of(url: Url) -> None:
    findings = adapter.check(url.with_params(max_lease="29m"))
    assert any("consumer_timeout" in finding.what for finding in findings if finding.level == "warning")


def test_without_a_server_there_is_nothing_to_look_at() -> None:
    with pytest.raises(Unavailable):
        adapter.check(Url.parse("amqp://127.0.0.1:1/?timeout=2"))
