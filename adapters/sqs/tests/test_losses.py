"""Requests and replies that are lost, refused, or carried out in part: an answer for each item, and the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobkit.errors import ConfigurationError, SetupRequired, Unavailable
from jobkit.transport import Again, Answer, Done, Message, Settlement
from jobkit_sqs.testing.faults import Faulty, lost_reply, lost_request, partly, refused, unreachable
from jobkit_sqs.transport import SqsTransport

Make = Callable[..., Message]


Open = Callable[..., SqsTransport]
Take = Callable[..., Any]

ONE_BY_ONE = {"parallel": "1"}
"""So that a test knows which request comes first."""


@pytest.fixture
def broken(open_transport: Open, faulty: Faulty) -> SqsTransport:
    return open_transport(wrap=faulty.wrap, options=ONE_BY_ONE)


def words(answers: list[Any]) -> list[str]:
    return [answer.answer.value for answer in answers]


def test_a_lost_reply_is_unknown_for_its_ten_and_the_others_have_their_own_answers(
    broken: SqsTransport, faulty: Faulty, transport: SqsTransport, take: Take, message: Make
) -> None:
    faulty.fault("send_message_batch", lambda operation, parameters: operation(**parameters))
    faulty.fault("send_message_batch", lost_reply)
    answers = broken.send([message(f"{number}") for number in range(25)])
    assert words(answers) == ["yes"] * 10 + ["unknown"] * 10 + ["yes"] * 5
    assert len(take(transport, limit=30)) == 25


def test_what_was_not_sent_is_unavailable_only_if_nothing_was(broken: SqsTransport, faulty: Faulty, message: Make) -> None:
    for _ in range(2):
        faulty.fault("send_message_batch", unreachable)
    with pytest.raises(Unavailable):
        broken.send([message(f"{number}") for number in range(20)])
    faulty.fault("send_message_batch", unreachable)
    assert words(broken.send([message(f"{number}") for number in range(20)])) == ["unknown"] * 10 + ["yes"] * 10


def test_entries_that_fail_within_a_reply_that_succeeds_are_seen(
    broken: SqsTransport, faulty: Faulty, transport: SqsTransport, take: Take, message: Make
) -> None:
    faulty.fault("send_message_batch", partly(1, 3))
    faulty.fault("send_message_batch", partly(0, code="InvalidMessageContents", sender=True))
    answers = broken.send([message(f"{number}") for number in range(12)])
    assert words(answers) == ["yes", "unknown", "yes", "unknown", *["yes"] * 6, "failed", "yes"]
    assert "InvalidMessageContents" in answers[10].reason
    assert len(take(transport, limit=20)) == 9


def test_an_entry_that_the_reply_forgets_is_unknown(broken: SqsTransport, faulty: Faulty, message: Make) -> None:
    faulty.fault("send_message_batch", lambda _operation, _parameters: {"ResponseMetadata": {}})
    assert words(broken.send([message("a")])) == ["unknown"]


def test_a_busy_service_is_unavailable_and_a_failing_one_unknown(
    broken: SqsTransport, faulty: Faulty, message: Make
) -> None:
    faulty.fault("send_message_batch", refused("RequestThrottled"))
    with pytest.raises(Unavailable):
        broken.send([message("a")])
    faulty.fault("send_message_batch", refused("InternalError", status=500))
    assert words(broken.send([message("a")])) == ["unknown"]


def test_what_is_refused_for_good_has_failed(broken: SqsTransport, faulty: Faulty, message: Make) -> None:
    faulty.fault("send_message_batch", refused("BatchRequestTooLong"))
    answers = broken.send([message("a")])
    assert (words(answers), "BatchRequestTooLong" in answers[0].reason) == (["failed"], True)


def test_missing_rights_are_a_matter_of_configuration(broken: SqsTransport, faulty: Faulty, message: Make) -> None:
    faulty.fault("send_message_batch", refused("AccessDenied", status=403))
    with pytest.raises(ConfigurationError):
        broken.send([message("a")])


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
def test_a_queue_that_went_away_needs_setup_and_is_looked_for_anew(
    code: str, broken: SqsTransport, faulty: Faulty, message: Make
) -> None:
    broken.send([message("first")])
    faulty.fault("send_message_batch", refused(code))
    with pytest.raises(SetupRequired, match="jobkit setup --url"):
        broken.send([message("second")])
    broken.send([message("third")])
    assert len(faulty.asked("get_queue_url")) == 2


def test_a_lost_reply_to_done_is_unknown_and_settling_again_ends_it(
    broken: SqsTransport, faulty: Faulty, take: Take, message: Make
) -> None:
    broken.send([message("a"), message("b")])
    loans = take(broken)
    faulty.fault("delete_message_batch", lost_reply)
    assert words(broken.settle([Done(loan) for loan in loans])) == ["unknown", "unknown"]
    assert words(broken.settle([Done(loan) for loan in loans])) == ["yes", "yes"]
    assert words(broken.settle([Done(loan) for loan in loans])) == ["lost", "lost"]


def test_what_follows_is_sent_once_although_settling_is_repeated(
    broken: SqsTransport, faulty: Faulty, transport: SqsTransport, take: Take, message: Make
) -> None:
    """After UNKNOWN only what is missing is done again: a second copy would run the job twice."""
    broken.send([message("a"), message("b")])
    first, second = take(broken)
    settlements: list[Settlement] = [Again(first, message(first.message.id, b"new")), Done(second, (message("c"),))]
    faulty.fault("delete_message_batch", lost_request)
    assert words(broken.settle(settlements)) == ["unknown", "unknown"]
    assert words(broken.settle(settlements)) == ["yes", "yes"]
    assert len(faulty.asked("send_message_batch")) == 2
    assert sorted(loan.message.body for loan in take(transport, wait=1)) == [b"new", b"x"]


def test_the_old_message_stays_until_what_follows_is_surely_stored(
    broken: SqsTransport, faulty: Faulty, transport: SqsTransport, take: Take, message: Make
) -> None:
    """Whatever becomes of the new message: the old one is deleted last."""
    broken.send([message("a"), message("b"), message("c")])
    loans = sorted(take(broken, lease=1), key=lambda loan: loan.message.id)
    settlements = [Again(loan, message(loan.message.id, b"new")) for loan in loans]
    faulty.fault("send_message_batch", partly(0, 1))
    assert words(broken.settle(settlements)) == ["unknown", "unknown", "yes"]
    (deleted,) = faulty.asked("delete_message_batch")
    assert [entry["ReceiptHandle"] for entry in deleted["Entries"]] == [loans[2].receipt.handle]


def test_settling_that_reached_nobody_says_so_and_leaves_the_loans(
    broken: SqsTransport, faulty: Faulty, take: Take, message: Make
) -> None:
    broken.send([message("a")])
    (loan,) = take(broken)
    faulty.fault("delete_message_batch", unreachable)
    with pytest.raises(Unavailable):
        broken.settle([Done(loan)])
    assert words(broken.settle([Done(loan)])) == ["yes"]


def test_a_receive_whose_reply_was_lost_is_unavailable(broken: SqsTransport, faulty: Faulty, take: Take) -> None:
    faulty.fault("receive_message", lost_reply)
    with pytest.raises(Unavailable):
        take(broken)


def test_what_was_received_is_handed_out_although_a_later_queue_fails(
    broken: SqsTransport, faulty: Faulty, take: Take, message: Make
) -> None:
    """Raising would leave loans that nobody knows of until they lapse."""
    broken.send([message("a")])
    faulty.fault("receive_message", lambda operation, parameters: operation(**parameters))
    faulty.fault("receive_message", unreachable)
    assert [loan.message.id for loan in take(broken, "q", "q--low")] == ["a"]


def test_a_send_is_never_repeated_behind_the_callers_back(broken: SqsTransport, faulty: Faulty, message: Make) -> None:
    faulty.fault("send_message_batch", lost_request)
    assert broken.send([message("a")])[0].answer is Answer.UNKNOWN
    assert len(faulty.asked("send_message_batch")) == 1
