"""What follows a job is safe before the job goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import amqp
import pytest

from jobkit.errors import Unavailable
from jobkit.transport import Again, Answer, Delivery, Done, Message, Sent, Settlement
from jobkit.url import Url
from jobkit_rabbitmq import transport as module
from jobkit_rabbitmq.queues import Names
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture
def loans(transport: RabbitmqTransport, message: Make, take: Take) -> list[Delivery]:
    transport.send([message("a"), message("b"), message("c")])
    return take(transport)


def answers(settled: Sequence[object]) -> list[Answer]:
    return [each.answer for each in settled]  # type: ignore[attr-defined]


def publishing(monkeypatch: pytest.MonkeyPatch, outcome: Callable[[Sequence[Message]], list[Sent]]) -> None:
    monkeypatch.setattr(module, "publish", lambda link, names, messages, deadline: outcome(messages))


@pytest.mark.parametrize("answer", [Answer.UNKNOWN, Answer.FAILED])
def test_a_job_stays_while_what_follows_it_is_not_confirmed(
    transport: RabbitmqTransport,
    loans: list[Delivery],
    message: Make,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
) -> None:
    publishing(monkeypatch, lambda messages: [Sent(answer, "because") for _ in messages])
    settled = transport.settle([Done(loans[0]), Done(loans[1], (message("next"),)), Again(loans[2], message("c", b"2"))])
    assert answers(settled) == [Answer.YES, answer, answer]
    assert settled[1].reason == "because"
    assert answers(transport.extend(loans, lease=30)) == [Answer.LOST, Answer.YES, Answer.YES]


def test_nothing_is_settled_where_the_publishing_connection_is_away(
    transport: RabbitmqTransport, loans: list[Delivery], message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Sequence[Message]) -> list[Sent]:
        raise Unavailable("away")

    publishing(monkeypatch, away)
    with pytest.raises(Unavailable):
        transport.settle([Done(loans[0]), Done(loans[1], (message("next"),))])
    assert answers(transport.settle([Done(each) for each in loans])) == [Answer.YES] * 3


def test_a_loan_does_not_lapse_while_its_successors_are_being_sent(
    transport: RabbitmqTransport, loans: list[Delivery], message: Make, monkeypatch: pytest.MonkeyPatch, take: Take
) -> None:
    """The job would otherwise come back beside its successor, although nobody had failed."""
    transport.extend(loans, lease=1.0)

    def slow(messages: Sequence[Message]) -> list[Sent]:
        threading.Event().wait(2.5)
        return [Sent(Answer.YES) for _ in messages]

    publishing(monkeypatch, slow)
    assert answers(transport.settle([Done(loans[0], (message("next"),))])) == [Answer.YES]
    assert sorted(each.message.id for each in take(transport)) == ["b", "c"]


def test_of_two_threads_that_settle_one_loan_one_has_settled_it(
    transport: RabbitmqTransport, loans: list[Delivery], message: Make, take: Take
) -> None:
    with ThreadPoolExecutor(2) as pool:
        settled = list(pool.map(lambda name: transport.settle([Done(loans[0], (message(name),))]), ("x", "y")))
    assert sorted(answers([one for (one,) in settled]), key=str) == [Answer.LOST, Answer.YES]
    assert len(take(transport)) == 1


def test_of_two_settlements_in_one_call_the_first_counts_and_the_second_sends_nothing(
    transport: RabbitmqTransport, loans: list[Delivery], message: Make, take: Take
) -> None:
    """Although what has to be sent is sent before anything is acknowledged."""
    first, second, third = loans
    batch: list[Settlement] = [
        Done(first),
        Again(first, message("a", b"2")),
        Again(second, message("b", b"2")),
        Done(second),
    ]
    assert answers(transport.settle(batch)) == [Answer.YES, Answer.LOST, Answer.YES, Answer.LOST]
    assert [(each.message.id, each.message.body) for each in take(transport)] == [("b", b"2")]
    assert answers(transport.extend([third, third], lease=30)) == [Answer.YES, Answer.YES]


def test_a_successor_in_a_deleted_queue_keeps_its_job(
    url: Url, transport: RabbitmqTransport, loans: list[Delivery], message: Make, channel: amqp.Channel
) -> None:
    transport.send([message("there", queue="next")])
    channel.queue_delete(Names(url.params["namespace"]).of("next"))
    then = (message("next", queue="next"),)
    assert answers(transport.settle([Done(loans[0], then)])) == [Answer.FAILED]
    assert answers(transport.settle([Done(loans[0], then)])) == [Answer.YES]


def test_acknowledged_messages_are_gone_when_settle_returns(
    url: Url, transport: RabbitmqTransport, loans: list[Delivery], open_transport: Callable[[Url], RabbitmqTransport]
) -> None:
    """Acknowledgements have no reply of their own; the reply to what is sent after them says that they were taken in."""
    transport.settle([Done(each) for each in loans])
    transport.close()
    assert open_transport(url).depth(["q"])[0].ready == 0
