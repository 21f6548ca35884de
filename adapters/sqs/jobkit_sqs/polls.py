"""
Long polls, one for each waiting queue, side by side.

SQS can wait for one queue at a time, and for whole seconds; receivers wait for several, and may be told to stop. So each
long poll runs in a thread of its own and offers what came to whoever receives next. What nobody takes within a second goes
back at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from jobkit.clock import Clock
from jobkit.transport import Delivery
from jobkit_sqs.forks import Forgetful, after_fork

PREFETCH = 100
"""How many messages all polls of one handle may bring, taken together."""

KEPT = 1.0
"""Seconds for which a message is offered here before it goes back to the others."""

GLANCE = 0.1
"""Seconds between two looks at *stop*, which is nothing that one can wait for beside messages."""

NEARLY = 0.1
"""Seconds by which a wait may be exceeded, so that the last poll need not be a second shorter than what is left."""

Where = tuple[str, float]
"""A queue, and the lease for which its messages are lent."""


class Polls(Forgetful):
    """
    Args:
        receive: One long poll: queue, how many at most, seconds to wait, lease.
        give_back: Ends loans that nobody took.
        longest: Seconds for one poll.
    """

    def __init__(
        self,
        receive: Callable[[str, int, int, float], list[Delivery]],
        give_back: Callable[[Sequence[Delivery]], None],
        clock: Clock,
        longest: float,
    ) -> None:
        self._receive = receive
        self._give_back = give_back
        self._clock = clock
        self._longest = longest
        self.closed = False
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        # The parent's polls go on there; here are none.
        self._changed = threading.Condition()
        self._under_way: dict[Where, int] = {}
        self._offers: dict[Where, list[Delivery]] = {}
        self._errors: dict[Where, Exception] = {}
        self._empty: dict[Where, float] = {}
        self._threads = 0

    def take(self, where: Where, most: int) -> list[Delivery]:
        """Up to *most* of what polls have brought; raises what a poll has met if there is nothing."""
        now = self._clock.steady()
        with self._changed:
            waiting = self._offers.pop(where, [])
            if waiting[most:]:
                self._offers[where] = waiting[most:]
            error = self._errors.pop(where, None)
            self._changed.notify_all()
        taken = [delivery for delivery in waiting[:most] if delivery.lease_until > now]
        if error is not None and not taken:
            raise error
        return taken

    def covers(self, where: Where, ago: float) -> bool:
        """Whether nothing is there as far as a poll knows that is under way, or ended empty up to *ago* seconds before."""
        with self._changed:
            return where in self._under_way or self._empty.get(where, -ago) > self._clock.steady() - ago

    def wait(self, places: Sequence[Where], limit: int, end: float, stop: threading.Event) -> None:
        """Until something came, a poll has ended, *stop* is set or it is *end*. Starts polls for as long as that is away."""
        with self._changed:
            polled = self._start(places, limit, end - self._clock.steady())
            if polled < len(places):
                end = min(end, self._clock.steady() + KEPT)  # what could not be polled has to be looked at
            running = [where for where in places if where in self._under_way]
            while not self.closed and not stop.is_set() and all(where in self._under_way for where in running):
                rest = end - self._clock.steady()
                if any(where in self._offers or where in self._errors for where in places):
                    return
                if rest <= (-3 * NEARLY if running else 0):
                    return
                self._clock.wait(self._changed, min(max(rest, NEARLY), GLANCE))

    def close(self) -> None:
        """Wait for what is under way: a message that came after the end would be nobody's until its lease lapsed."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._threads, self._longest + 1)

    def _start(self, places: Sequence[Where], limit: int, rest: float) -> int:
        """Gives how many of *places* are polled. Too near the end none is started: a poll lasts whole seconds."""
        seconds = int(min(rest + NEARLY, self._longest))
        share = max(1, min(10, limit, PREFETCH // len(places)))
        for where in places:
            if seconds < 1 or self.closed or sum(self._under_way.values()) + share > PREFETCH:
                break
            if where not in self._under_way:
                self._under_way[where] = share
                self._threads += 1
                name = f"jobkit-sqs-poll-{where[0]}"
                threading.Thread(target=self._poll, args=(where, share, seconds), name=name, daemon=True).start()
        return sum(where in self._under_way for where in places) if seconds else len(places)

    def _poll(self, where: Where, most: int, seconds: int) -> None:
        found: list[Delivery] = []
        error: Exception | None = None
        try:
            found = self._receive(where[0], most, seconds, where[1])
        except Exception as met:  # noqa: BLE001 - whoever receives next gets it
            error = met
        with self._changed:
            del self._under_way[where]
            self._note(where, found, error)
            left = self._left_by_takers(where, found)
        if left:
            self._give_back(left)
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _note(self, where: Where, found: list[Delivery], error: Exception | None) -> None:
        if found:
            self._offers.setdefault(where, []).extend(found)
        elif error is not None:
            self._errors[where] = error
        else:
            self._empty[where] = self._clock.steady()
        self._changed.notify_all()

    def _left_by_takers(self, where: Where, found: Sequence[Delivery]) -> list[Delivery]:
        """Those of *found* that nobody has taken while they were offered; they are no more."""
        end = self._clock.steady() + KEPT
        while left := [delivery for delivery in found if delivery in self._offers.get(where, ())]:
            rest = end - self._clock.steady()
            if rest <= 0 or self.closed:
                others = [delivery for delivery in self._offers.pop(where) if delivery not in left]
                if others:
                    self._offers[where] = others
                break
            self._clock.wait(self._changed, rest)
        return left
