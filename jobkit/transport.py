"""
The data plane's line: what a broker must do to carry jobs. With `jobkit.store` it is all that an adapter's author reads.

A transport stores opaque bytes durably, lends them for a while, and settles them; retries, priorities, keys and dead letters
are built once, in the core. `jobkit.memory` is the reference. Durations are float seconds, sizes are bytes.
"""

from __future__ import annotations

import enum
import re
import threading
from collections.abc import Sequence
from typing import Literal, Protocol

import attrs

from jobkit.errors import TooLarge

LINE = 1
"""The version of these lines. An adapter names the one that it implements; an unknown one is refused by name."""

QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""What every broker can carry as a queue's name; SQS sets the bound. The core checks names where they are declared."""


@attrs.frozen(kw_only=True)
class Message:
    """
    One job, as a broker sees it.

    Attributes:
        id: Unique among the messages that live in its queue. Sending it again meanwhile is harmless (`Transport.send`).
        queue: Matches `QUEUE_NAME`.
        body: Any bytes, to be handed out exactly so.
        delay: Seconds before it may be received, counted by the broker's clock from the send.
    """

    id: str
    queue: str
    body: bytes = attrs.field(repr=False)
    delay: float = 0.0


@attrs.frozen(kw_only=True, eq=False)
class Delivery:
    """
    A loan of one message, until it is settled or the lease ends.

    Attributes:
        message: As it was sent; its delay is over, and may be told as 0.
        receives: From 1. How often the broker has handed the message out since it was last sent.
        lease_until: On `jobkit.clock.steady`. After `Transport.extend` the caller keeps the new deadline itself.
        receipt: The adapter's own handle, such as a token per delivery. Nobody else reads it.
    """

    message: Message
    receives: int
    lease_until: float
    receipt: object = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Done:
    """The job has ended: remove it, and send *then* (atomically where `atomic_successors` is declared)."""

    delivery: Delivery
    then: Sequence[Message] = ()


@attrs.frozen(eq=False)
class Again:
    """
    Replace the delivered message by *message*: the same id and queue, a new body, a new delay; `receives` starts anew.

    Without `atomic_again` the new one is stored before the old one goes. Where it then stands in line is not promised.
    """

    delivery: Delivery
    message: Message


Settlement = Done | Again


class Answer(enum.Enum):
    """What became of one item. One item's failure never touches another's."""

    YES = "yes"
    """It happened, durably."""
    LOST = "lost"
    """The lease, or the compare, was lost: nothing changed."""
    FAILED = "failed"
    """It can never happen, for the reason given: nothing changed, nothing is left."""
    UNKNOWN = "unknown"
    """The reply was lost: it may have happened. The core asks, or repeats it."""


@attrs.frozen
class Sent:
    """The answer to one sent message: YES, FAILED (with the reason) or UNKNOWN."""

    answer: Answer
    reason: str = ""


@attrs.frozen
class Settled:
    """The answer to one settlement or extension: YES, LOST, FAILED or UNKNOWN."""

    answer: Answer
    reason: str = ""


@attrs.frozen(kw_only=True)
class Depth:
    """
    How many messages a queue holds. What the broker cannot tell is None, never 0.

    Attributes:
        oldest_age: Seconds for which the oldest *ready* message has been ready; None also when none is.
    """

    queue: str
    ready: int | None
    delayed: int | None
    leased: int | None
    oldest_age: float | None


@attrs.frozen(kw_only=True)
class TransportCapabilities:
    """
    Data and promise at once: the core asks these to know what it must bridge, and the contract suite tests each one.

    Attributes:
        name: The broker's name for people and telemetry, such as ``postgresql``.
        durable, shared: What was answered YES survives a restart of the broker; other processes see the same messages.
        atomic_again, atomic_successors: `Again`, and `Done` with successors, happen whole or not at all.
        single_delivery: A message is never lent twice at once; sending a living id again makes no second copy.
        fence: ``broker``: a late settle or extend is refused by the broker itself, whoever asks. ``local``: the adapter
            keeps the deadline on a clock that goes on while the process is frozen, and sends nothing after it.
        transactional: The transport is `jobkit.transactional.Transactional`.
        exact_counts, knows_age: `Transport.depth` is exact when nothing is moving; `Depth.oldest_age` is told.
        max_delay: The longest `Message.delay`. The core parks what is due later.
        max_lease: The longest time for which one delivery can be held, extensions included.
        min_lease: The shortest lease that is kept exactly; shorter ones may be rounded up to it.
        max_body: The largest body.
        wake_latency: A waiting `receive` returns within this of a send, lost wake-up signals included.
        lease_slack: A lapsed lease is noticed, and a due message is ready, within this.
        prefetch: How many deliveries the adapter itself may buffer beyond what `receive` returned; 0 for none.
    """

    name: str
    durable: bool
    shared: bool
    atomic_again: bool
    atomic_successors: bool
    single_delivery: bool
    fence: Literal["broker", "local"]
    transactional: bool
    exact_counts: bool
    knows_age: bool
    max_delay: float
    max_lease: float
    max_body: int
    min_lease: float = 1.0
    wake_latency: float = 1.0
    lease_slack: float = 1.0
    prefetch: int = 0


class Transport(Protocol):
    """
    One broker, as the core sees it.

    Any method may be called from several threads at once, and every call ends: within *wait*, or within the adapter's own
    request timeout. Adapters neither retry, log nor sleep: they raise an error of `jobkit.errors` with the client library's
    own as its cause, and the core decides what follows. `Unavailable` from any method says that the broker was not reached
    and nothing changed; the next call connects anew. Any method raises `Closed` after `close`, and `SetupRequired`
    where queues or tables are missing. No I/O happens before the first call.
    """

    @property
    def capabilities(self) -> TransportCapabilities:
        """What this transport promises. Constant, and known without I/O."""

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        """
        Store *messages* durably, and only then answer: one answer per message, in order, whatever the batch's size.

        YES: it survives a restart of the broker. FAILED: it left no trace. UNKNOWN: the reply was lost; sending the same
        id again is safe while the message lives: with `single_delivery` it makes no second copy.

        Raises:
            TooLarge: A body exceeds `max_body`; nothing was sent.
            ValueError: A queue's name or a delay is out of bounds; nothing was sent.
            Unavailable: Nothing was sent.
        """

    def receive(
        self, queues: Sequence[str], *, limit: int, wait: float, lease: float, stop: threading.Event
    ) -> list[Delivery]:
        """
        Borrow up to *limit* due messages for *lease* seconds, from the first of *queues* on, oldest first in each.

        Waits up to *wait* seconds for the first one, and no longer for more; *wait* 0 only looks. *stop* ends the wait
        within 0.25 s. An empty list means that nothing was due. A message whose lease has lapsed is due again.

        Raises:
            Unavailable: A loan whose reply was lost lapses by itself.
        """

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """
        End loans: one answer per settlement, in order. LOST says that the lease had ended: nothing changed. UNKNOWN says
        that it may have happened, or cannot at the moment: repeat it. Of two settlements of one loan the first counts.

        Raises:
            TooLarge: A body exceeds `max_body`; nothing was settled.
            ValueError: A name, a delay, or an `Again` under another id or queue; nothing was settled.
            Unavailable: Nothing was settled.
        """

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> list[Settled]:
        """Let each loan end *lease* seconds from now instead. LOST says that it had ended already."""

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        """Count each of *queues*, in order; none named: every queue that the broker can list. Looking changes nothing."""

    def purge(self, queue: str) -> int | None:
        """
        Remove every message of *queue*, delayed ones too, lent ones excepted.

        Returns how many; None where the broker cannot tell.
        """

    def close(self) -> None:
        """Release what is held; waiting receives end. May be called again. Loans come back when they lapse, or earlier."""


def check_messages(messages: Sequence[Message], capabilities: TransportCapabilities) -> None:
    """The checks that every transport owes before any I/O."""
    for message in messages:
        if not QUEUE_NAME.fullmatch(message.queue):
            raise ValueError(f"queue name {message.queue!r}: allowed are 1 to 80 letters, digits, '_' and '-'")
        if not 0 <= message.delay <= capabilities.max_delay:
            raise ValueError(f"delay {message.delay} s: allowed on {capabilities.name} is 0 to {capabilities.max_delay} s")
        if len(message.body) > capabilities.max_body:
            raise TooLarge(f"body of {len(message.body)} bytes: {capabilities.name} takes {capabilities.max_body} at most")
