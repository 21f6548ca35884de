"""Connections to one server, kept open for whoever needs one next."""

from __future__ import annotations

import threading
import time

from jobkit.errors import Closed, Unavailable
from jobkit_redis.admission import objection
from jobkit_redis.options import Address, Target
from jobkit_redis.wire import Wire


class Pool:
    """
    At most *size* connections, opened when needed; the one used last goes out first, so that few are kept busy rather
    than many kept warm. Safe for several threads.

    Args:
        size: None for no bound.
    """

    def __init__(self, target: Target, address: Address, size: int | None) -> None:
        self._target = target
        self._address = address
        self._size = size
        self._changed = threading.Condition()
        self._idle: list[Wire] = []
        self._out = 0
        self._closed = False

    def take(self, deadline: float) -> Wire:
        """
        Raises:
            Closed, Unavailable, ConfigurationError: There is none to be had.
        """
        with self._changed:
            self._wait_for_room(deadline)
            self._out += 1
        try:
            return self._fresh() or self._connect(deadline)
        except BaseException:
            self._one_less()
            raise

    def give_back(self, wire: Wire) -> None:
        with self._changed:
            keep = wire.usable and not self._closed
            if keep:
                self._idle.append(wire)
        self._one_less()
        if not keep:
            wire.close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for wire in idle:
            wire.close()

    def _one_less(self) -> None:
        with self._changed:
            self._out -= 1
            self._changed.notify()

    def _wait_for_room(self, deadline: float) -> None:
        while True:
            if self._closed:
                raise Closed(f"{self._target.masked}: used after close")
            if self._size is None or self._out < self._size:
                return
            if not self._changed.wait(deadline - time.monotonic()):
                raise Unavailable(f"{self._target.masked}: all {self._out} connections stayed busy; raise pool in the URL")

    def _fresh(self) -> Wire | None:
        """An idle connection on which the server has not hung up."""
        while True:
            with self._changed:
                if not self._idle:
                    return None
                wire = self._idle.pop()
            if not wire.has_news():
                return wire
            wire.close()

    def _connect(self, deadline: float) -> Wire:
        wire = Wire(self._target, self._address, deadline)
        if error := objection(wire.info, self._target):
            wire.close()
            raise error
        return wire


class Pools:
    """A pool for each server, made when it is first needed. Safe for several threads."""

    def __init__(self, target: Target, size: int | None) -> None:
        self._target = target
        self._size = size
        self._lock = threading.Lock()
        self._pools: dict[Address, Pool] = {}
        self._closed = False

    def take(self, address: Address, deadline: float) -> Wire:
        """
        Raises:
            Closed, Unavailable, ConfigurationError: There is none to be had.
        """
        with self._lock:
            if self._closed:
                raise Closed(f"{self._target.masked}: used after close")
            pool = self._pools.get(address) or self._pools.setdefault(address, Pool(self._target, address, self._size))
        return pool.take(deadline)

    def give_back(self, wire: Wire) -> None:
        with self._lock:
            pool = self._pools[wire.address]
        pool.give_back(wire)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for pool in list(self._pools.values()):
            pool.close()
