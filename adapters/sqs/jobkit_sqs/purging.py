"""
Purging. SQS's own PurgeQueue takes the messages that are on loan too, and for a minute also those that come after it, so it
is not used.

What is visible is received and deleted. What is delayed cannot be received: a tag on the queue says when it was last
purged, and whoever receives a delayed message for the first time looks whether it was sent before that, and deletes it. The
time is SQS's own, read off a message in a queue that serves for nothing else.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from jobkit.clock import Clock
from jobkit.errors import JobKitError, Unavailable, Uncertain
from jobkit_sqs import wire
from jobkit_sqs.addresses import Addresses
from jobkit_sqs.failures import ReplyLost
from jobkit_sqs.forks import Forgetful, after_fork
from jobkit_sqs.names import CLOCK
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.service import Service
from jobkit_sqs.wire import Incoming

TAG = "jobkit-purged"
"""Milliseconds on SQS's clock: delayed messages that were sent up to then are gone."""

KNOWN_FOR = 1.0
"""Seconds after which the tag is read anew."""

HIDDEN = 30
"""Seconds for which what a purge has received stays hidden, should it break off before deleting."""


class Purges(Forgetful):
    """Purges queues for one handle, and keeps what was purged from its receivers. Safe for several threads."""

    def __init__(self, service: Service, addresses: Addresses, parallel: Parallel, clock: Clock) -> None:
        self._service = service
        self._addresses = addresses
        self._parallel = parallel
        self._clock = clock
        self._known: dict[str, tuple[float, int]] = {}
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()

    def without_purged(self, queue: str, incoming: Sequence[Incoming]) -> Sequence[Incoming]:
        """*incoming* without what was purged while it was delayed, which is deleted."""
        if not any(_could_not_be_seen(one) for one in incoming):
            return incoming
        until = self._purged_until(queue)
        gone = [one for one in incoming if _could_not_be_seen(one) and one.sent_at <= until]
        if gone:
            self._delete(queue, gone)
        return [one for one in incoming if one not in gone]

    def purge(self, queue: str) -> None:
        """
        Raises:
            Uncertain: Some may have been removed, some not; purging again goes on.
            SetupRequired: There is no such queue.
        """
        self._addresses.find([queue, CLOCK])
        end = self._clock.steady() + self._service.target.options.timeout
        try:
            began = self._server_time(end)
            self._call("tag_queue", queue, Tags={TAG: str(began)})
            with self._lock:
                self._known.pop(queue, None)
            self._remove_visible(queue, began, end)
        except (Unavailable, Uncertain) as error:
            raise Uncertain(f"some of {queue!r} may have been purged: {error}") from error

    def _server_time(self, end: float) -> int:
        """Milliseconds on SQS's clock: when it took a message that was sent after this call began."""
        mark = secrets.token_hex(8)
        self._call("send_message", CLOCK, MessageBody=mark)
        while self._clock.steady() < end:
            for one in self._receive(CLOCK, hidden=1):
                if one.body == mark.encode():
                    self._delete(CLOCK, [one])
                    return one.sent_at
        raise ReplyLost("SQS did not tell its time within the timeout")

    def _remove_visible(self, queue: str, began: int, end: float) -> None:
        """Until nothing is left that was there when it *began*. What comes meanwhile may go as well."""
        width = 1
        while self._clock.steady() < end:
            taken = self._parallel.each(lambda _: self._take(queue), range(width))
            found: list[Incoming] = []
            for one in taken:
                if isinstance(one, JobKitError):
                    raise one
                found += one
            if all(one.sent_at > began for one in found):
                return
            width = self._service.target.options.parallel
        raise ReplyLost("it takes longer than the timeout; purge again to go on")

    def _take(self, queue: str) -> list[Incoming]:
        found = self._receive(queue, hidden=HIDDEN)
        if found:
            self._delete(queue, found)
        return found

    def _receive(self, queue: str, hidden: int) -> list[Incoming]:
        reply = self._call(
            "receive_message",
            queue,
            MaxNumberOfMessages=10,
            # Waiting makes SQS ask all its servers; a short look asks a few of them and may miss what is there.
            WaitTimeSeconds=1,
            VisibilityTimeout=hidden,
            MessageSystemAttributeNames=wire.SYSTEM,
            MessageAttributeNames=[wire.ATTRIBUTE],
        )
        return [wire.read(raw) for raw in reply.get("Messages", ())]

    def _delete(self, queue: str, gone: Sequence[Incoming]) -> None:
        entries = [{"Id": str(place), "ReceiptHandle": one.handle} for place, one in enumerate(gone)]
        self._call("delete_message_batch", queue, Entries=entries)

    def _purged_until(self, queue: str) -> int:
        now = self._clock.steady()
        with self._lock:
            read_at, until = self._known.get(queue, (now - 2 * KNOWN_FOR, 0))
        if now - read_at > KNOWN_FOR:
            until = int(self._call("list_queue_tags", queue).get("Tags", {}).get(TAG, 0))
            with self._lock:
                self._known[queue] = (now, until)
        return until

    def _call(self, operation: str, queue: str, **parameters: Any) -> Mapping[str, Any]:
        return self._service.call(operation, QueueUrl=self._addresses.find([queue])[queue], **parameters)


def _could_not_be_seen(one: Incoming) -> bool:
    return one.delayed and one.receives == 1
