"""
How a receiver waits: on the servers' wake-up tokens, and never for longer than until it would look by itself.

The wait is ended from outside (``CLIENT UNBLOCK``) as soon as this side has had enough: a receiver that is busy again must
not take a token from one that waits. Tokens and connections that are lost here cost nobody anything but time.
"""

from __future__ import annotations

import select
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from hiredis import ReplyError

from jobkit.errors import JobKitError
from jobkit_redis.options import Address
from jobkit_redis.requests import Request
from jobkit_redis.server import Server
from jobkit_redis.wire import NOTHING, Wire

STOP_EVERY = 0.1
"""Seconds within which a stop is noticed."""

SHORTEST = 0.01
"""Seconds for which it is not worth asking the servers to ring."""

HANG_UP = 0.1
"""Seconds that the end of a wait may cost; a connection that has not come back by then is given up."""

MOST_BELLS = 16
"""Connections on which one receiver waits in a cluster, one for each slot; what lies in further ones is found by looking."""


class _Bell:
    """One connection that waits for tokens. Not waiting: its one reply has been read, or will never come."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.waiting = True

    def rang(self) -> bool:
        """Whether the server has ended the wait; a connection that failed only stops waiting."""
        try:
            reply = self.wire.read_soon()
        except JobKitError:
            self.waiting = False
            return False
        self.waiting = reply is NOTHING
        return not self.waiting and not isinstance(reply, ReplyError)


class Bells:
    """Safe for several threads, each of which waits on connections of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def wait(self, queues: Sequence[str], timeout: float, stop: threading.Event) -> None:
        """Wait until one of *queues* has something new, *timeout* seconds are over, *stop* is set or the server closed."""
        end = time.monotonic() + timeout
        bells = self._listening(queues, timeout) if timeout > SHORTEST else []
        try:
            self._wait_for_any(bells, end, stop)
            if not self._over(stop):
                self._hang_up([bell for bell in bells if bell.waiting])
        finally:
            for bell in bells:
                bell.wire.usable &= not bell.waiting
                self._server.bells.give_back(bell.wire)

    def _over(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._server.closed

    def _listening(self, queues: Sequence[str], timeout: float) -> list[_Bell]:
        """Connections on which the servers will ring; fewer, or none, if they can't be had."""
        bells: list[_Bell] = []
        for address, keys in self._places(queues):
            with suppress(JobKitError):
                bell = _Bell(self._server.bells.take(address, time.monotonic() + timeout))
                bells.append(bell)
                # The server ends the wait by itself if this process can't: a frozen one keeps one token at most.
                bell.wire.write([("BLPOP", *keys, f"{timeout + 1:.3f}")], time.monotonic() + timeout)
        return bells

    def _places(self, queues: Sequence[str]) -> list[tuple[Address, list[str]]]:
        """What can be waited for in one command is what has the same slot."""
        slots = self._server.slots
        by_slot: defaultdict[int, list[str]] = defaultdict(list)
        for key in map(self._server.keys.wake, queues):
            by_slot[slots.slot_of(key)].append(key)
        return [(slots.address_of(keys[0]), keys) for keys in by_slot.values()][:MOST_BELLS]

    def _wait_for_any(self, bells: Sequence[_Bell], end: float, stop: threading.Event) -> None:
        while not self._over(stop) and (rest := end - time.monotonic()) > 0:
            waiting = [bell for bell in bells if bell.waiting]
            if not _news(waiting, min(rest, STOP_EVERY), stop):
                continue
            if any(bell.rang() for bell in waiting):
                return

    def _hang_up(self, bells: Sequence[_Bell]) -> None:
        """End the waits that are still going on."""
        requests = [Request("", ("CLIENT", "UNBLOCK", bell.wire.number), at=bell.wire.address) for bell in bells]
        if not requests:
            return
        deadline = time.monotonic() + HANG_UP
        with suppress(JobKitError):
            self._server.ask_bare(requests, deadline)
        for bell in bells:
            with suppress(JobKitError):
                bell.wire.read(deadline)
                bell.waiting = False


def _news(bells: Sequence[_Bell], timeout: float, stop: threading.Event) -> bool:
    """Whether one of the servers has said something within *timeout* seconds."""
    if not bells:
        stop.wait(timeout)
        return False
    poll = select.poll()
    for bell in bells:
        poll.register(bell.wire, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
