"""
What the adapter itself knows of a loan. SQS knows too little: deleting by an old receipt handle "succeeds but might not
delete", so the fence is here, on a clock that goes on while the process is frozen.
"""

from __future__ import annotations

import math
import threading

from jobkit.transport import Answer, Message, Settled

MARGIN = 2
"""
Seconds for which a message stays hidden beyond its lease: requests that leave in time may arrive until then, and the
server's clock is known to about one second.
"""

LONGEST_HIDDEN = 43200
"""Seconds from the receive, in all: SQS extends no further."""

MAX_LEASE = LONGEST_HIDDEN - 60.0

YES = Settled(Answer.YES)
LOST = Settled(Answer.LOST)
BUSY = Settled(Answer.UNKNOWN, "another call is settling this loan")
TOO_LATE = Settled(Answer.UNKNOWN, "the reply came when the lease had ended, so the request may have come too late")


def hidden_for(lease: float) -> int:
    """The visibility timeout for a lease: whole seconds."""
    return math.ceil(lease) + MARGIN


class Loan:
    """
    The receipt of a delivery.

    Attributes:
        since: When the message was received at the latest, on the steady clock.
        until: When the lease ends there.
        stored: What settling has stored already: after UNKNOWN only the rest is repeated.
    """

    __slots__ = ("_lock", "_settling", "ended", "handle", "queue", "since", "stored", "until")

    def __init__(self, queue: str, handle: str, since: float, until: float) -> None:
        self.queue = queue
        self.handle = handle
        self.since = since
        self.until = until
        self.ended = False
        self.stored: list[Message] = []
        self._settling = False
        self._lock = threading.Lock()

    def lives(self, now: float) -> bool:
        return not self.ended and now < self.until

    def claim(self, now: float) -> Settled | None:
        """Begin to settle, as the only one; else the answer that says why not."""
        with self._lock:
            if not self.lives(now):
                return LOST
            if self._settling:
                return BUSY
            self._settling = True
            return None

    def release(self, settled: Settled | None) -> None:
        with self._lock:
            self._settling = False
            self.ended = self.ended or settled == YES
