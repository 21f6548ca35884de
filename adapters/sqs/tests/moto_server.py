"""
``python adapters/sqs/tests/moto_server.py -p 5000``: moto's server, made fit for more than one request at a time.

moto 5 serves each request in a thread of its own, and its queues know no locks: what is sent while something else is deleted
may be forgotten, what was deleted may be back, and two receivers may be handed the same message. It also looks at the time
twice for every message of a queue at every request, by a way that takes microseconds: a queue of a thousand messages then
takes tens of milliseconds a request. Here are one lock and a quicker clock; what the requests do is moto's.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.server import main
from moto.sqs import models

PAUSE = 0.02
"""Seconds between two looks of a long poll."""

_lock = threading.RLock()


def _one_at_a_time(owner: Any, *names: str) -> None:
    for name in names:
        setattr(owner, name, _locked(getattr(owner, name)))


def _locked(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with _lock:
            return function(*arguments, **options)

    return call


def _waiting(look: Callable[..., Any]) -> Callable[..., Any]:
    """A receive that waits between its looks, instead of within one."""

    @functools.wraps(look)
    def receive(self: Any, queue: str, count: int, wait: int, hidden: int, names: Any = None) -> Any:
        end = time.monotonic() + (wait or 0)
        while not (found := look(self, queue, count, 0, hidden, names)) and time.monotonic() < end:
            time.sleep(PAUSE)
        return found

    return receive


def _seconds(when: datetime | None = None) -> float:
    return time.time() if when is None else when.replace(tzinfo=UTC).timestamp()


def _milliseconds(when: datetime | None = None) -> float:
    return _seconds(when) * 1000


def make_sound() -> None:
    """Fails where moto has changed so much that this would do nothing."""
    for name, quick in (("unix_time", _seconds), ("unix_time_millis", _milliseconds)):
        assert callable(getattr(models, name))
        setattr(models, name, quick)
    _one_at_a_time(models.Queue, "add_message", "delete_message")
    _one_at_a_time(models.SQSBackend, "create_queue", "delete_queue")
    _one_at_a_time(models.SQSBackend, "receive_message", "change_message_visibility", "get_queue_attributes")
    models.SQSBackend.receive_message = _waiting(models.SQSBackend.receive_message)  # type: ignore[method-assign]
    _one_at_a_time(DynamoDBBackend, "put_item", "delete_item", "update_item", "create_table", "delete_table")


if __name__ == "__main__":
    make_sound()
    main(sys.argv[1:])
