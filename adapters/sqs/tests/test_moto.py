"""Findings about moto, which the design notes held for sound: why the tests are run on it through one lock."""

from __future__ import annotations

from collections.abc import Callable

from moto.sqs.models import Message, SQSBackend


class Interrupted(Message):
    """A message at which a thread that deletes another one is interrupted."""

    by: Callable[[], None] | None = None

    def had_receipt_handle(self, receipt_handle: str) -> bool:
        interrupt, self.by = self.by, None
        if interrupt is not None:
            interrupt()
        return super().had_receipt_handle(receipt_handle)


def test_moto_forgets_what_is_sent_and_brings_back_what_was_deleted_while_something_else_is_deleted() -> None:
    """Over HTTP, three threads that send beside three that delete lose some of 900 messages in one of three runs."""
    backend = SQSBackend("us-east-1", "123456789012")
    backend.create_queue("q", None)
    queue = backend.get_queue("q")
    last = Interrupted("last", "last")
    for message in (Message("first", "first"), Message("second", "second"), last):
        message.mark_sent()
        queue.add_message(message)
    first, second = (str(message.receipt_handle) for message in backend.receive_message("q", 2, 0, 30))

    def meanwhile() -> None:
        queue.delete_message(second)
        queue.add_message(Message("sent", "sent"))

    last.by = meanwhile
    queue.delete_message(first)
    assert [message.id for message in queue._messages] == ["second", "last"]
