"""Purging takes what is ready and what is delayed, and nothing that is on loan or comes later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.errors import Uncertain
from jobkit.transport import Delivery, Done, Message
from jobkit_sqs.testing.faults import Faulty, lost_reply, unreachable
from jobkit_sqs.transport import SqsTransport

Open = Callable[..., SqsTransport]
Take = Callable[..., list[Delivery]]
Make = Callable[..., Message]


def test_delayed_jobs_that_were_purged_do_not_come_for_anybody(
    transport: SqsTransport, open_transport: Open, take: Take, message: Make
) -> None:
    """They cannot be received when the purge runs; whoever receives them later finds its mark."""
    transport.send([message("purged", delay=2), message("visible")])
    assert transport.purge("q") is None
    transport.send([message("later", delay=1)])
    seen: list[str] = []
    for _ in range(4):
        seen += [delivery.message.id for delivery in take(open_transport(), wait=1)]
    assert seen == ["later"]
    assert transport.depth(["q"])[0].delayed == 0


def test_a_job_on_loan_survives_with_its_retries(transport: SqsTransport, take: Take, message: Make) -> None:
    transport.send([message("held"), message("ready")])
    (held,) = take(transport, limit=1)
    transport.purge("q")
    assert take(transport) == []
    assert transport.extend([held], lease=30)[0].answer.value == "yes"
    assert transport.settle([Done(held)])[0].answer.value == "yes"


def test_more_than_a_request_holds_is_purged(transport: SqsTransport, take: Take, message: Make) -> None:
    transport.send([message(f"{number}") for number in range(45)])
    transport.purge("q")
    assert take(transport, wait=1) == []


def test_only_delayed_jobs_cost_a_look_at_the_mark(open_transport: Open, faulty: Faulty, take: Take, message: Make) -> None:
    transport = open_transport(wrap=faulty.wrap)
    transport.send([message("prompt")])
    assert len(take(transport)) == 1
    assert faulty.asked("list_queue_tags") == []
    transport.send([message("delayed", delay=0.5)])
    assert len(take(transport, wait=5)) == 1
    assert len(faulty.asked("list_queue_tags")) == 1


@pytest.mark.parametrize("fault", [lost_reply, unreachable])
@pytest.mark.parametrize("operation", ["send_message", "tag_queue", "delete_message_batch"])
def test_a_purge_that_breaks_off_says_so_and_can_be_repeated(
    operation: str, fault: Any, open_transport: Open, faulty: Faulty, take: Take, message: Make
) -> None:
    transport = open_transport(wrap=faulty.wrap)
    transport.send([message("delayed", delay=1), message("ready")])
    faulty.fault(operation, fault)
    with pytest.raises(Uncertain):
        transport.purge("q")
    transport.purge("q")
    assert [delivery.message.id for delivery in take(transport, wait=2.5) if delivery.message.id == "delayed"] == []


def test_a_purge_beside_a_waiting_receiver_ends(
    transport: SqsTransport, open_transport: Open, take: Take, message: Make
) -> None:
    """The mark of its time lies in a queue of its own, where no worker can take it away."""
    waiting = threading.Thread(target=lambda: take(open_transport(), wait=8))
    waiting.start()
    transport.purge("q")
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_queue_that_does_not_exist_has_nothing_to_purge(transport: SqsTransport) -> None:
    assert transport.purge("nowhere") == 0
