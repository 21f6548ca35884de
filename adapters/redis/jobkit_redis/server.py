"""The server, or the cluster, as one thing that answers requests: in one round trip, to all servers at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from hiredis import ReplyError

from jobkit.errors import Closed, JobKitError, Unavailable
from jobkit_redis.failures import code_of, sends_away, setup_required, translated
from jobkit_redis.forks import Forgetful, after_fork
from jobkit_redis.keys import Keys
from jobkit_redis.options import Address, Target
from jobkit_redis.pool import Pools
from jobkit_redis.requests import Request
from jobkit_redis.slots import Slots
from jobkit_redis.wire import Reply, Wire

LAYOUT = 1
"""The version of what lies in the keys; a newer jobkit may raise it in `setup`."""

REDIRECTIONS = 8
"""How often one request is sent on. Each is a "not here" or "not known yet", after which nothing has happened."""


Ask = Callable[[Sequence[Request], float], list[Any]]


class Server(Forgetful):
    """
    Safe for several threads; a forked child starts with connections of its own.

    Attributes:
        closed: After which every call raises `Closed`.
        bells: The connections on which receivers wait; as many as there are waiting threads.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.keys = Keys(target.options.namespace)
        self.closed = False
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        # Dropped without a farewell: the parent goes on talking on the same sockets.
        self._wires = Pools(self.target, self.target.options.pool)
        self.bells = Pools(self.target, None)
        self._layout_seen = False
        self.slots = Slots(self.target.address, self.target.options.cluster)

    def check_open(self) -> None:
        if self.closed:
            raise Closed(f"{self.target.masked}: used after close")

    def ask(self, requests: Sequence[Request]) -> list[Reply | JobKitError]:
        """
        The answers to *requests*, each of which stands for itself: where there is none there is the error, which is a
        `ReplyLost` if the request may have been carried out all the same.

        Raises:
            Closed, SetupRequired, Unavailable, ConfigurationError: Nothing was asked.
        """
        self.check_open()
        deadline = time.monotonic() + self.target.options.timeout
        self._meet(deadline)
        return self._ask(requests, deadline)

    def one(self, request: Request) -> Reply:
        """The answer to one request; raises the error in its place."""
        (reply,) = self.ask([request])
        if isinstance(reply, JobKitError):
            raise reply
        return reply

    def ask_bare(self, requests: Sequence[Request], deadline: float) -> list[Reply | JobKitError]:
        """As `ask`, whatever lies on the server: for setting up, tearing down and checking."""
        self._learn_slots(deadline)
        return self._ask(requests, deadline)

    def close(self) -> None:
        self.closed = True
        self._wires.close()
        self.bells.close()

    def _meet(self, deadline: float) -> None:
        """Before the first request: know the slots, and refuse data that this version does not understand."""
        self._learn_slots(deadline)
        if self._layout_seen:
            return
        version = read_layout(self._ask, self.keys, deadline)
        if version is None:
            # There is nothing else to set up on Redis, so whoever comes first does.
            write_layout(self._ask, self.keys, deadline)
        elif version > LAYOUT:
            why = f"the data's layout is {version}, made by a newer jobkit; this one knows {LAYOUT}"
            raise setup_required(self.target.masked, f"{why}: upgrade jobkit-redis")
        self._layout_seen = True

    def _learn_slots(self, deadline: float) -> None:
        if not self.slots.stale:
            return
        error: JobKitError = Unavailable(f"{self.target.masked}: no server of the cluster is known")
        for address in self.slots.sources():
            # Half of the rest for each, since one that is silent must not use up the time of those that would answer.
            share = (time.monotonic() + deadline) / 2
            reply = self._translated(self._exchange({address: [Request("", ("CLUSTER", "SLOTS"))]}, share)[address][0])
            if not isinstance(reply, JobKitError):
                self.slots.read(reply, address)
                return
            error = reply
        raise error

    def _ask(self, requests: Sequence[Request], deadline: float) -> list[Reply | JobKitError]:
        answers: list[Reply | JobKitError] = [None] * len(requests)
        waiting = dict(enumerate(requests))
        for _ in range(REDIRECTIONS):
            for number, address, reply in self._round(waiting, deadline):
                onward = self._onward(waiting[number], reply, address)
                if onward is None:
                    answers[number] = self._translated(reply)
                    del waiting[number]
                else:
                    waiting[number] = onward
            if not waiting:
                return answers
        for number in waiting:
            answers[number] = Unavailable(f"{self.target.masked}: sent from server to server without end")
        return answers

    def _round(self, waiting: dict[int, Request], deadline: float) -> list[tuple[int, Address, Reply | JobKitError]]:
        numbers: dict[Address, list[int]] = {}
        for number, request in waiting.items():
            numbers.setdefault(request.at or self.slots.address_of(request.key), []).append(number)
        batches = {address: [waiting[number] for number in those] for address, those in numbers.items()}
        replies = self._exchange(batches, deadline)
        return [
            (number, address, reply)
            for address, those in numbers.items()
            for number, reply in zip(those, replies[address], strict=True)
        ]

    def _exchange(self, batches: dict[Address, list[Request]], deadline: float) -> dict[Address, list[Reply | JobKitError]]:
        """Write to every server before reading from any: they work side by side. In the order of their names, so that of
        two callers none waits for a connection that the other holds."""
        wires: dict[Address, Wire | JobKitError] = {}
        try:
            for address in sorted(batches):
                wires[address] = self._written(address, batches[address], deadline)
            return {address: _read(wires[address], batch, deadline) for address, batch in batches.items()}
        finally:
            for wire in wires.values():
                if isinstance(wire, Wire):
                    self._wires.give_back(wire)

    def _written(self, address: Address, batch: Sequence[Request], deadline: float) -> Wire | JobKitError:
        try:
            wire = self._wires.take(address, deadline)
        except JobKitError as error:
            return error
        try:
            wire.write([words for request in batch for words in request.commands()], deadline)
        except JobKitError as error:
            self._wires.give_back(wire)
            return error
        return wire

    def _onward(self, request: Request, reply: Reply | JobKitError, source: Address) -> Request | None:
        """What to ask next, and where, after a reply that is only a direction."""
        code = code_of(str(reply)) if isinstance(reply, ReplyError) else ""
        if code == "NOSCRIPT" and not request.whole:
            return attrs.evolve(request, whole=True)
        if code in ("MOVED", "ASK") and self.target.options.cluster:
            return attrs.evolve(request, at=self.slots.moved(str(reply), source), asking=code == "ASK")
        return None

    def _translated(self, reply: Reply | JobKitError) -> Reply | JobKitError:
        """An error of the line in place of one of the server's."""
        if isinstance(reply, JobKitError) or (isinstance(reply, ReplyError) and sends_away(str(reply))):
            # A cluster may have replaced the server meanwhile.
            self.slots.stale = self.target.options.cluster
        return translated(str(reply), self.target.masked) if isinstance(reply, ReplyError) else reply


def read_layout(ask: Ask, keys: Keys, deadline: float) -> int | None:
    """The version of what lies in the namespace, if anything does."""
    (version,) = ask([Request(keys.layout, ("GET", keys.layout))], deadline)
    if isinstance(version, JobKitError):
        raise version
    return None if version is None else int(version)


def write_layout(ask: Ask, keys: Keys, deadline: float) -> bool:
    """Note `LAYOUT`; False if somebody else was first."""
    (noted,) = ask([Request(keys.layout, ("SET", keys.layout, LAYOUT, "NX"))], deadline)
    if isinstance(noted, JobKitError):
        raise noted
    return noted is not None


def _read(wire: Wire | JobKitError, batch: Sequence[Request], deadline: float) -> list[Reply | JobKitError]:
    """The replies to *batch*; from the one on that did not come, the reason."""
    if isinstance(wire, JobKitError):
        return [wire] * len(batch)
    replies: list[Reply | JobKitError] = []
    try:
        for request in batch:
            for _ in request.commands():
                reply = wire.read(deadline)
            replies.append(reply)
            if isinstance(reply, ReplyError) and sends_away(str(reply)):
                wire.usable = False
    except JobKitError as error:
        replies += [error] * (len(batch) - len(replies))
    return replies
