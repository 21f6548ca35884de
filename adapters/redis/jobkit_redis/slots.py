"""Which server holds which keys: always the same one, or in a cluster the one that its map says."""

from __future__ import annotations

import threading
from bisect import bisect_right

from redis.crc import key_slot

from jobkit_redis.options import Address
from jobkit_redis.wire import Reply


class Slots:
    """
    A cluster's map, or that of a single server, to which everything belongs. Safe for several threads.

    Args:
        first: The URL's server.
        several: It is one of a cluster.

    Attributes:
        several: Keys may lie on several servers.
        stale: Something was not where the map has it, or there is no map yet.
    """

    def __init__(self, first: Address, several: bool) -> None:
        self._first = self._source = first
        self.several = several
        self._lock = threading.Lock()
        self._moved: dict[int, Address] = {}
        self._starts: list[int] = [0]
        self._owners: list[Address] = [first]
        self.stale = several

    def address_of(self, key: str) -> Address:
        """The server that holds *key*; any one for an empty key."""
        if not self.several:
            return self._first
        slot = self.slot_of(key)
        with self._lock:
            return self._moved.get(slot) or self._owners[bisect_right(self._starts, slot) - 1]

    def slot_of(self, key: str) -> int:
        """Where *key* lies; what has the same slot can be asked for in one command."""
        return key_slot(key.encode()) if self.several else 0

    def servers(self) -> list[Address]:
        """All that hold anything, the URL's first if it does."""
        with self._lock:
            return sorted(set(self._owners), key=lambda address: address != self._first)

    def sources(self) -> list[Address]:
        """Whom to ask for a map: who gave the last one, then all who stood in it, of whom some may be gone."""
        return list(dict.fromkeys([self._source, *self.servers(), self._first]))

    def read(self, reply: Reply, source: Address) -> None:
        """Take over what ``CLUSTER SLOTS`` said at *source*, which leaves its own name empty if it does not know it."""
        ranges = sorted((first, _address(master, source)) for first, _, master, *_ in reply)
        with self._lock:
            self._starts = [first for first, _ in ranges] or [0]
            self._owners = [owner for _, owner in ranges] or [self._first]
            self._moved.clear()
            self._source = source
            self.stale = not ranges

    def moved(self, words: str, source: Address) -> Address:
        """Take over one redirection, such as ``MOVED 3999 127.0.0.1:6381``, and give the server that it names."""
        _, slot, place = words.split(" ")[:3]
        host, _, port = place.rpartition(":")
        address = Address(host.strip("[]") or source.host, int(port))
        if words.startswith("MOVED"):
            with self._lock:
                self._moved[int(slot)] = address
                self.stale = True
        return address


def _address(master: list[Reply], source: Address) -> Address:
    host = (master[0] or b"").decode()
    return Address(source.host if host in ("", "?") else host, master[1])
