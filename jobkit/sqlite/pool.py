"""
Connections: each is used by one thread at a time, none goes along into a forked child, none outlives the file it opened.

Not one per thread: threads end without notice, and their connections would stay open until somebody collects them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator

from jobkit.errors import Closed, Unavailable

QUIESCE = 1.0
"""Seconds for which a fork waits for transactions that are under way in other threads. They take milliseconds."""

Identity = tuple[int, int] | None


def identity(path: str) -> Identity:
    """Which file *path* names at present. Never found out by opening it: closing it again would drop SQLite's locks."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Pool:
    """
    Lends connections to the file at *path*, made by *connect*.

    A file that was deleted or replaced is noticed at the next loan; writing on into the deleted one would lose jobs.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._free: list[sqlite3.Connection] = []
        self._lent: set[sqlite3.Connection] = set()
        self._file: Identity = None
        self._returned = threading.Condition()
        self._writing = threading.Lock()
        self._opening = 0
        self._forking = False
        self._closed = False
        _POOLS.add(self)

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """
        Raises:
            Closed: After `close`.
        """
        connection, file = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection, file)

    @contextlib.contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """
        One writer of this handle at a time: a lock hands over at once, where SQLite's would have to be asked every
        millisecond.

        Raises:
            Unavailable: The turn did not come within *timeout* seconds.
        """
        writing = self._writing
        if not writing.acquire(timeout=timeout):
            raise Unavailable(f"{self._path}: another thread has been writing for {timeout} s")
        try:
            yield
        finally:
            writing.release()

    def close(self) -> None:
        """Those on loan are closed when they come back."""
        with self._returned:
            self._closed = True
            self._drop_free()

    def forget(self) -> None:
        """Open anew for the next loan."""
        with self._returned:
            self._file = None
            self._drop_free()

    @property
    def closed(self) -> bool:
        return self._closed

    def _take(self) -> tuple[sqlite3.Connection, Identity]:
        file = identity(self._path)
        with self._returned:
            self._returned.wait_for(lambda: not self._forking)
            self._check_open()
            if file != self._file:
                self._drop_free()
            if self._free:
                connection = self._free.pop()
                self._lent.add(connection)
                return connection, file
            self._opening += 1
        return self._new()

    def _new(self) -> tuple[sqlite3.Connection, Identity]:
        connection = None
        try:
            connection = self._connect()
        finally:
            file = identity(self._path)
            with self._returned:
                self._opening -= 1
                if connection is not None:
                    self._lent.add(connection)
                    self._use(file)
                self._returned.notify_all()
        return connection, file

    def _use(self, file: Identity) -> None:
        if file != self._file:
            self._drop_free()
        self._file = file

    def _give_back(self, connection: sqlite3.Connection, file: Identity) -> None:
        with self._returned:
            if connection not in self._lent:  # forked meanwhile, in the thread that forked: see `_forked`
                return
            self._lent.discard(connection)
            if self._closed or file != self._file:
                connection.close()
            else:
                self._free.append(connection)
            self._returned.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"the handle on {self._path} is closed")

    def _drop_free(self) -> None:
        while self._free:
            self._free.pop().close()

    # A fork copies SQLite's own account of the locks that this process holds, but not the locks. A child that opens the
    # file while that account is not empty believes that it holds locks which it does not, and may corrupt the file. So
    # all connections are closed before a fork; those in use in other threads are waited for.

    def before_fork(self) -> None:
        self._returned.acquire()
        self._forking = True
        self._returned.wait_for(lambda: not self._lent and not self._opening, QUIESCE)
        self._drop_free()

    def after_fork_in_parent(self) -> None:
        self._forking = False
        self._returned.notify_all()
        self._returned.release()

    def after_fork_in_child(self) -> None:
        _ABANDONED.extend(self._lent)
        self._lent.clear()
        self._returned = threading.Condition()
        self._writing = threading.Lock()
        self._opening, self._forking = 0, False


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
_FORKING = threading.Lock()
_frozen: list[Pool] = []
_ABANDONED: list[sqlite3.Connection] = []
"""Connections of the parent that were in use at a fork. Even closing them in the child would be wrong."""


def _before_fork() -> None:
    _FORKING.acquire()
    _frozen.extend(_POOLS)
    for pool in _frozen:
        pool.before_fork()


def _after_fork_in_parent() -> None:
    for pool in _frozen:
        pool.after_fork_in_parent()
    _frozen.clear()
    _FORKING.release()


def _after_fork_in_child() -> None:
    for pool in _frozen:
        pool.after_fork_in_child()
    _frozen.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
