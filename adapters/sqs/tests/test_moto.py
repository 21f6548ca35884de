"""Findings about moto, which the design notes held for sound: why the tests are run on it through one lock."""

from __future__ import annotations

import pytest
from moto.sqs.models import Message, Queue, SQSBackend


class Interrupted(Message):
    """A message at which the thread that looks for another one to delete is interrupted, by one that sends."""

    queue: Queue | None = None

    def had_receipt_handle(self, receipt_handle: str) -> bool:
        if self.queue is not None:
            queue, self.queue = self.queue, None
            queue.add_message(Message("sent", "sent meanwhile"))
        return super().had_receipt_handle(receipt_handle)


@pytest.fixture
def backend() -> SQSBackend:
    backend = SQSBackend("us-east-1", "123456789012")
    backend.create_queue("q", None)
    return backend


def test_moto_forgets_what_is_sent_while_something_else_is_deleted(backend: SQSBackend) -> None:
    """Three threads that send beside three that delete lose some of 900 messages in one of three runs."""
    queue = backend.get_queue("q")
    first, last = Message("first", "first"), Interrupted("last", "last")
    for message in (first, last):
        message.mark_sent()
        queue.add_message(message)
    (received,) = backend.receive_message("q", 1, 0, 30)
    assert received.id == "first"
    last.queue = queue
    queue.delete_message(str(received.receipt_handle))
    assert [message.id for message in queue._messages] == ["last"]
