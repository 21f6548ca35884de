"""The sending side: published in windows, answered as the broker confirms, refuses or returns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import attrs
from amqp import spec
from amqp.basic_message import Message as Packet

from jobkit.errors import JobKitError, Unavailable
from jobkit.transport import Answer, Message, Sent
from jobkit_rabbitmq.channel import Channel
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.queues import Scout
from jobkit_rabbitmq.wire import Wire

WINDOW = 1000
"""Messages that may be unconfirmed at once; more would only wait in the server's memory instead of ours."""

AT_ONCE = 100
"""Messages written before replies are read again."""

YES = Sent(Answer.YES)
PERSISTENT = 2


@attrs.define(eq=False)
class Post:
    """
    Messages to publish, as one call.

    Attributes:
        answers: Filled in as the broker tells; None for what it has not told yet.
        refused: How many the broker has not taken, and keeps no trace of.
        written: How many have been handed to the connection.
        abandoned: Nobody waits for it any more, so nothing more of it may be written.
        lock: Guards the last two, between the thread that writes and the one that waits.
    """

    queues: Sequence[str]
    messages: Sequence[Message]
    answers: list[Sent | None] = attrs.field(init=False)
    refused: int = 0
    written: int = 0
    abandoned: bool = False
    lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    open: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin again, once every message has been refused."""
        self.answers = [None] * len(self.messages)
        self.open = len(self.messages)
        self.refused = self.written = 0

    def abandon(self) -> int:
        """Stop. How many have been written by now."""
        with self.lock:
            self.abandoned = True
            return self.written

    def results(self, reason: str) -> list[Sent]:
        """The answers, with *reason* why the missing ones are unknown."""
        return [answer or Sent(Answer.UNKNOWN, reason) for answer in self.answers]


class Posting(Scout):
    """
    The session of the publishing connection.

    Attributes:
        server: What the server says of itself.
        known: The broker's queues that were seen to exist since it connected.
    """

    def __init__(self, wire: Wire, target: Target) -> None:
        super().__init__(wire, target)
        self.server = wire.server
        self.known: set[str] = set()
        self._unwritten: deque[tuple[Post, Future[list[str]]]] = deque()
        self._open_channel()

    def submit(self, outcome: Future[list[str]], post: Post) -> None:
        """
        Publish, and settle *outcome* once everything has been answered: with nothing, or at once and unpublished with
        those queues of which it is not known whether they are there.

        Raises:
            Unavailable: The server takes no messages at the moment.
        """
        if self._wire.blocked:
            raise Unavailable(f"{self._target.masked}: the server takes no messages: {self._wire.blocked}")
        unknown = sorted(set(post.queues) - self.known)
        if unknown:
            outcome.set_result(unknown)
        else:
            self._unwritten.append((post, outcome))

    def learn(self, outcome: Future[None], queues: Sequence[str]) -> None:
        """*queues* are there."""
        self.known.update(queues)
        outcome.set_result(None)

    def turn(self) -> float:
        while self._unwritten and len(self._unconfirmed) < WINDOW:
            post, outcome = self._unwritten[0]
            with post.lock:
                if not post.abandoned:
                    self._write(post, outcome, min(AT_ONCE, WINDOW - len(self._unconfirmed)))
            if post.abandoned or post.written == len(post.messages):
                self._unwritten.popleft()
            else:
                return 0.0
        return 60.0

    def broken(self, error: JobKitError) -> None:
        super().broken(error)
        self._channel.fail(error)

    def _open_channel(self) -> None:
        self._channel = Channel(self._wire.connection, self._on_event)
        self._channel.on_closed = self._on_closed
        self._channel.request(spec.Confirm.Select, "b", (False,))
        self._next = 1
        self._unconfirmed: dict[int, tuple[Post, int, Future[list[str]]]] = {}
        self._returned: dict[tuple[str, str], list[str]] = {}

    def _write(self, post: Post, outcome: Future[list[str]], most: int) -> None:
        for number in range(post.written, min(len(post.messages), post.written + most)):
            message = post.messages[number]
            packet = Packet(message.body, delivery_mode=PERSISTENT, message_id=message.id)
            self._unconfirmed[self._next] = (post, number, outcome)
            self._next += 1
            post.written = number + 1
            self._channel.publish(post.queues[number], packet)

    def _on_event(self, name: str, *arguments: Any) -> None:
        if name in ("Ack", "Nack"):
            self._on_confirm(name == "Ack", *arguments)
        elif name == "Return":
            _, text, _, queue, packet = arguments
            self._returned.setdefault((packet.properties.get("message_id", ""), queue), []).append(text)

    def _on_confirm(self, taken: bool, tag: int, multiple: bool) -> None:
        tags = [tag]
        if multiple:
            tags = []
            for each in self._unconfirmed:
                if each > tag:
                    break
                tags.append(each)
        for each in tags:
            if each in self._unconfirmed:
                self._answer(*self._unconfirmed.pop(each), taken)

    def _answer(self, post: Post, number: int, outcome: Future[list[str]], taken: bool) -> None:
        """What can't be routed is returned first, and confirmed all the same."""
        queue = post.queues[number]
        key = (post.messages[number].id, queue)
        if key in self._returned:
            why = self._returned[key].pop()
            if not self._returned[key]:
                del self._returned[key]
            self.known.discard(queue)
            post.answers[number] = Sent(Answer.FAILED, f"queue {queue!r} is gone ({why}); the next send will make it anew")
        elif taken:
            post.answers[number] = YES
        else:
            # Not FAILED, since it may be taken the next time; nothing in between can be told for one message of several.
            post.refused += 1
            post.answers[number] = Sent(Answer.UNKNOWN, f"queue {queue!r} refused the message: it is full, or not ready yet")
        post.open -= 1
        if not post.open:
            outcome.set_result([])

    def _on_closed(self, error: Exception) -> None:
        """The channel is gone, and with it every confirm that was still to come on it."""
        reopens = not isinstance(error, JobKitError)
        untouched = [(post, outcome) for post, outcome in self._unwritten if reopens and not post.written]
        lost = [outcome for *_, outcome in self._unconfirmed.values()] + [outcome for _, outcome in self._unwritten]
        self._unwritten = deque(untouched)
        self._unconfirmed.clear()
        if reopens:
            self._open_channel()
        for outcome in lost:
            if not outcome.done() and all(outcome is not kept for _, kept in untouched):
                outcome.set_exception(error)
