"""Connections that are kept open and shared by a worker's threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What can be in a pool."""

    def close(self) -> object: ...


C = TypeVar("C", bound=Closable)


class Pool(Generic[C]):
    """
    As many connections as are in use at once: one that is given back serves the next one.

    Args:
        connect: Opens one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: deque[C] = deque()

    @contextmanager
    def borrow(self) -> Iterator[C]:
        """A connection for this block. After an error nobody knows in which state it is, so it is not used again."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            with suppress(OSError):
                connection.close()
            raise
        self._idle.append(connection)

    def close(self) -> None:
        """Close the idle ones."""
        while self._idle:
            with suppress(OSError):
                self._idle.pop().close()
