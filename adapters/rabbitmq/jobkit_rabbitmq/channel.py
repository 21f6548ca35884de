"""A channel whose requests do not wait: any number may be under way, and AMQP has them answered in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from amqp import spec
from amqp.basic_message import Message
from amqp.exceptions import ChannelError, error_for_code
from kombu.transport import pyamqp

_REPLIES = (
    spec.Channel.OpenOk,
    spec.Confirm.SelectOk,
    spec.Queue.DeclareOk,
    spec.Queue.DeleteOk,
    spec.Queue.PurgeOk,
    spec.Basic.QosOk,
    spec.Basic.ConsumeOk,
    spec.Basic.CancelOk,
    spec.Basic.GetOk,
    spec.Basic.GetEmpty,
)

Reply = Future[tuple[Any, ...]]


class Channel(pyamqp.Channel):
    """
    Belongs to the thread that reads its connection, replies included.

    Attributes:
        on_event: Called with what the server says unasked (a delivery, a return, a confirm, a consumer's end) and its
            arguments.
        failure: Why the channel was closed; None while it is open.
    """

    def __init__(self, connection: pyamqp.Connection, on_event: Callable[..., None] = lambda *_: None) -> None:
        self._replies: deque[Reply] = deque()
        self.on_event = on_event
        self.on_closed: Callable[[Exception], None] = lambda _: None
        self.failure: Exception | None = None
        super().__init__(connection, auto_decode=False)
        self.request(spec.Channel.Open, "s", ("",))

    def request(self, method: tuple[int, int], shape: str = "", arguments: tuple[Any, ...] = ()) -> Reply:
        """Send a method that is answered; the reply's arguments come with the future."""
        reply: Reply = Future()
        self._replies.append(reply)
        self.send_method(method, shape or None, arguments)
        return reply

    def declare(self, queue: str, arguments: dict[str, Any] | None = None) -> Reply:
        """Ask for *queue*, or, with *arguments*, see that it is there. The reply: name, ready messages, consumers."""
        passive = arguments is None
        return self.request(spec.Queue.Declare, "BsbbbbbF", (0, queue, passive, True, False, False, False, arguments or {}))

    def consume(self, queue: str, tag: str, window: int) -> None:
        """Have up to *window* messages of *queue* delivered, and not yet settled, at any time. No reply."""
        self.request(spec.Basic.Qos, "lBb", (0, window, False))
        self.send_method(spec.Basic.Consume, "BssbbbbF", (0, queue, tag, False, False, False, True, {}))

    def cancel(self, tag: str) -> Reply:
        """End a consumer. What it was given stays on loan; after the reply nothing more comes."""
        return self.request(spec.Basic.Cancel, "sb", (tag, False))

    def marker(self) -> Reply:
        """A request that changes nothing: its reply says that all before it has been taken in."""
        return self.request(spec.Basic.Qos, "lBb", (0, 1, False))

    def publish(self, queue: str, message: Message) -> None:
        """To the default exchange, and to be returned if there is no such queue."""
        self.send_method(spec.Basic.Publish, "Bssbb", (0, "", queue, True, False), message)

    def fail(self, error: Exception) -> None:
        """Tell everyone who waits that no reply will come."""
        self.failure = self.failure or error
        replies, self._replies = self._replies, deque()
        for reply in replies:
            reply.set_exception(error)
        self.on_closed(error)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks.update(dict.fromkeys(_REPLIES, self._on_reply))
        for name in ("Deliver", "Return", "Ack", "Nack", "Cancel"):
            self._callbacks[getattr(spec.Basic, name)] = partial(self._on_event, name)

    def _on_reply(self, *arguments: Any) -> None:
        self._replies.popleft().set_result(arguments)

    def _on_event(self, name: str, *arguments: Any) -> None:
        self.on_event(name, *arguments)

    def _on_close(self, code: int, text: str, class_id: int, method_id: int) -> None:
        """The server has refused something. It says nothing more on this channel once it is told that we have heard."""
        self.send_method(spec.Channel.CloseOk)
        self.collect()
        self.fail(error_for_code(code, text, (class_id, method_id), ChannelError))
