"""Connections kept open for whoever needs one next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobkit.errors import Closed, Unavailable
from jobkit_postgres.connection import Connection, Rows
from jobkit_postgres.failures import setup_required
from jobkit_postgres.forks import Forgetful, after_fork
from jobkit_postgres.options import Target
from jobkit_postgres.setup import OLDEST_SERVED, VERSION, read_info


class Pool(Forgetful):
    """
    At most ``pool`` connections to one target, opened when needed; the one used last goes out first, so that few are
    kept busy rather than many kept warm. Safe for several threads; a forked child starts with an empty one.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.closed = False
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        # Dropped without a farewell: the parent goes on talking on the same sockets.
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._out = 0

    def run(self, sql: str, **values: Any) -> Rows:
        """
        One statement, prepared, in a transaction of its own, within ``timeout`` seconds from now.

        Raises:
            ReplyLost: It may have been carried out.
            Closed, Unavailable, SetupRequired, ConfigurationError, Rejected: It has not.
        """
        deadline = time.monotonic() + self.target.options.timeout
        with self._borrowed(deadline) as connection:
            return connection.run(sql, deadline, **values)

    def check_open(self) -> None:
        if self.closed:
            raise Closed(f"{self.target.masked}: used after close")

    def close(self) -> None:
        with self._changed:
            self.closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            connection.close()

    def connect(self, deadline: float) -> Connection:
        """A connection beside the pool, to a schema that was found to fit."""
        connection = Connection(self.target, deadline)
        try:
            _check_schema(connection, self.target, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _borrowed(self, deadline: float) -> Iterator[Connection]:
        changed = self._changed
        with changed:
            self._wait_for_room(deadline)
            self._out += 1
        connection: Connection | None = None
        try:
            connection = self._fresh() or self.connect(deadline)
            yield connection
        finally:
            with changed:
                self._out -= 1
                keep = connection is not None and connection.usable and not self.closed
                if connection is not None and keep:
                    self._idle.append(connection)
                changed.notify()
            if connection is not None and not keep:
                connection.close()

    def _wait_for_room(self, deadline: float) -> None:
        while True:
            self.check_open()
            if self._out < self.target.options.pool:
                return
            if not self._changed.wait(deadline - time.monotonic()):
                raise Unavailable(f"{self.target.masked}: all {self._out} connections stayed busy; raise pool in the URL")

    def _fresh(self) -> Connection | None:
        """An idle connection on which the server has not hung up."""
        while True:
            with self._changed:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            connection.close()


def _check_schema(connection: Connection, target: Target, deadline: float) -> None:
    version, oldest = read_info(connection, target, deadline)
    if version < OLDEST_SERVED:
        raise setup_required(target.masked, f"the schema's version is {version}, and this jobkit needs {OLDEST_SERVED}")
    if oldest > VERSION:
        why = f"the schema's version is {version}, made by a newer jobkit; this one knows {VERSION}: upgrade jobkit-postgres"
        raise setup_required(target.masked, why)
