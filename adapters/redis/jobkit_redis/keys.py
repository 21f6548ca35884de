"""
The names of all keys. What lies between the braces decides the slot in a cluster, so that all keys of one queue, and all of
one collection, lie on one server. A namespace holds no colon: no other namespace's keys start with its prefix.
"""

from __future__ import annotations

_QUEUE = ("due", "lent", "loan", "body", "wake")
_COLLECTION = ("names", "versions", "values", "expiry")


class Keys:
    """
    The keys of one namespace.

    Attributes:
        layout: The version of the data's layout.
        queues: The names of all queues that were ever sent to.
        all: A pattern that matches every key of the namespace, and no other.
    """

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{{{namespace}:"
        self.layout = f"{self._prefix}}}layout"
        self.queues = f"{self._prefix}}}queues"
        self.all = f"{self._prefix}*"

    def of_queue(self, queue: str) -> list[str]:
        """What a queue's scripts are given; lua/queue.lua says what each one holds."""
        return [f"{self._prefix}q:{queue}}}{part}" for part in _QUEUE]

    def of_collection(self, collection: str) -> list[str]:
        """What a collection's scripts are given; lua/collection.lua says what each one holds."""
        return [f"{self._prefix}c:{collection}}}{part}" for part in _COLLECTION]

    def wake(self, queue: str) -> str:
        return f"{self._prefix}q:{queue}}}wake"
