"""Sends are confirmed by the broker before they are answered, and what it returns or refuses is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import amqp
import pytest

from jobkit.errors import ConfigurationError, Unavailable
from jobkit.transport import Answer, Delivery, Message
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.posting import WINDOW
from jobkit_rabbitmq.queues import Names
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture
def names(bare: Url) -> Names:
    return Names(bare.params["namespace"])


def test_a_message_is_persistent_and_carries_its_id(
    transport: RabbitmqTransport, message: Make, channel: amqp.Channel, names: Names
) -> None:
    transport.send([message("one", b"\x00body")])
    got = channel.basic_get(names.of("q"), no_ack=True)
    assert (got.properties["delivery_mode"], got.properties["message_id"], got.body) == (2, "one", b"\x00body")


def test_many_more_than_one_window_are_answered_in_order(
    transport: RabbitmqTransport, message: Make, channel: amqp.Channel, names: Names
) -> None:
    batch = [message(str(number)) for number in range(2 * WINDOW + 50)]
    batch.insert(WINDOW, message("x" * 256))
    answers = [sent.answer for sent in transport.send(batch)]
    assert answers == [*[Answer.YES] * WINDOW, Answer.FAILED, *[Answer.YES] * (WINDOW + 50)]
    assert channel.queue_declare(names.of("q"), passive=True).message_count == 2 * WINDOW + 50


def test_threads_share_one_connection_and_get_their_own_answers(transport: RabbitmqTransport, message: Make) -> None:
    def send(number: int) -> list[Answer]:
        good, bad = message(f"good {number}"), message("é" * 128)
        return [sent.answer for sent in transport.send([good, bad, good] if number % 2 else [good])]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(64)))
    assert answers == [[Answer.YES], [Answer.YES, Answer.FAILED, Answer.YES]] * 32


def test_what_is_sent_to_a_deleted_queue_is_told_and_the_next_send_makes_it_anew(
    transport: RabbitmqTransport, message: Make, channel: amqp.Channel, names: Names, take: Take
) -> None:
    """Unroutable messages are returned and confirmed all the same: without reading the return they would vanish."""
    transport.send([message("before", queue="gone"), message("before")])
    channel.queue_delete(names.of("gone"))
    sent = transport.send([message("lost", queue="gone"), message("kept"), message("lost", queue="gone")])
    assert [each.answer for each in sent] == [Answer.FAILED, Answer.YES, Answer.FAILED]
    assert "is gone" in sent[0].reason
    assert transport.send([message("anew", queue="gone")])[0].answer is Answer.YES
    assert [each.message.id for each in take(transport, "gone", "q")] == ["anew", "before", "kept"]


def test_a_queue_that_was_never_set_up_is_made_and_catalogued(
    bare: Url, open_transport: Callable[[Url], RabbitmqTransport], message: Make, channel: amqp.Channel, names: Names
) -> None:
    transport = open_transport(bare)
    assert transport.send([message("first", queue="new")])[0].answer is Answer.YES
    adapter.teardown(bare)
    with pytest.raises(amqp.NotFound):
        channel.queue_declare(names.of("new"), passive=True)


def test_a_queue_made_by_somebody_else_is_used_as_it_is_but_setup_refuses_it(
    bare: Url, message: Make, channel: amqp.Channel, names: Names
) -> None:
    channel.queue_declare(names.of("classic"), durable=True, auto_delete=False)
    with pytest.raises(ConfigurationError, match="PRECONDITION_FAILED"):
        adapter.setup(bare, ["classic"])
    channel.queue_delete(names.of("classic"))


def test_where_nobody_listens_nothing_was_sent(message: Make) -> None:
    transport = adapter.transport(Url.parse("amqp://127.0.0.1:1/?timeout=2"))
    with pytest.raises(Unavailable):
        transport.send([message("one")])
    transport.close()


@pytest.mark.parametrize(("user", "vhost"), [("guest:wrong", "/"), ("guest:guest", "nowhere")])
def test_a_login_that_is_refused_is_a_matter_of_configuration(server: Url, user: str, vhost: str, message: Make) -> None:
    url = Url.parse(f"amqp://{user}@{server.host}:{server.port or 5672}/{vhost}")
    transport = adapter.transport(url)
    with pytest.raises(ConfigurationError) as refused:
        transport.send([message("one")])
    assert "wrong" not in str(refused.value)
    transport.close()


def test_a_full_queue_refuses_and_keeps_no_trace(
    broker: Any, private: Url, open_transport: Callable[[Url], RabbitmqTransport], message: Make, take: Take
) -> None:
    """An operator's limit on a queue's length is answered by a nack, since the queue says reject-publish."""
    transport, taken = open_transport(private), set[str]()
    pattern = f"^{private.params['namespace']}\\."
    broker.control("set_policy", "--apply-to", "queues", "full", pattern, '{"max-length": 3}')
    try:
        with pytest.raises(Unavailable, match="full"):
            _fill(transport, message, taken)
        mixed = transport.send([message("elsewhere", queue="other"), message("full")])
        assert [each.answer for each in mixed] == [Answer.YES, Answer.UNKNOWN]
        assert {each.message.id for each in take(transport, limit=20)} == taken
    finally:
        broker.control("clear_policy", "full")
    assert transport.send([message("after")])[0].answer is Answer.YES


def _fill(transport: RabbitmqTransport, message: Make, taken: set[str]) -> None:
    for number in range(12):
        transport.send([message(str(number))])
        taken.add(str(number))


def test_several_processes_that_send_to_a_new_queue_at_once_are_all_answered_yes(
    bare: Url, open_transport: Callable[[Url], RabbitmqTransport], message: Make, take: Take
) -> None:
    """While one of them makes the queue, it is there for the others, and refuses what they send."""
    transports = [open_transport(bare) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            batch = [message(f"{number}", queue=f"new{number}")]
            answers = list(pool.map(lambda transport, batch=batch: transport.send(batch)[0].answer, transports))
            assert answers == [Answer.YES] * 4
            assert len(take(transports[0], f"new{number}")) == 4


def test_a_message_that_the_server_finds_too_large_is_refused_by_itself(
    private: Url, open_transport: Callable[[Url], RabbitmqTransport], message: Make, take: Take
) -> None:
    """The server's own limit may be lower than ours. It closes the channel with 406, and the next send works."""
    transport = open_transport(private)
    large = message("large", bytes(1024 * 1024 + 1))
    assert transport.send([large])[0].answer is Answer.FAILED
    mixed = transport.send([message("small"), large])
    assert mixed[1].answer is Answer.UNKNOWN
    assert "larger than" in mixed[1].reason
    assert transport.send([message("after")])[0].answer is Answer.YES
    assert {each.message.id for each in take(transport)} >= {"after"}
