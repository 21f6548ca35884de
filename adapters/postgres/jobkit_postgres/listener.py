"""The wake-up connection: LISTEN, on a connection and a thread of its own, for all receivers of one transport."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

from jobkit.errors import Closed, JobKitError
from jobkit_postgres.connection import Connection
from jobkit_postgres.forks import Forgetful, after_fork
from jobkit_postgres.pool import Pool
from jobkit_postgres.waiting import Doorbell

TRY_EVERY = 1.0
"""Seconds between attempts to listen after one failed. Receivers look by themselves meanwhile."""

_NOTIFICATION = ord("A")
_UNASKED = {_NOTIFICATION, ord("N"), ord("S")}
"""What a server may say on an idle connection besides a farewell: notifications, notices, changed parameters."""


class Listener(Forgetful):
    """
    Rings *doorbell* for every queue that the server says has got something.

    The notices are read from the socket itself: the driver only looks for them while it handles a query, and asking one
    each second would cost more than all else that an idle worker does.
    """

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._tried = -TRY_EVERY
        self._closed = False

    def start(self) -> None:
        """Listen, if nobody does: at first, and after the connection was lost."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            now = time.monotonic()
            if self._closed or now - self._tried < TRY_EVERY or (self._thread is not None and self._thread.is_alive()):
                return
            self._tried = now
            self._thread = threading.Thread(target=self._run, name="jobkit-postgres-listener", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread, connection = self._thread, self._connection
        if connection is not None:
            with contextlib.suppress(OSError):  # ends the thread's wait
                connection.socket.shutdown(socket.SHUT_RDWR)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def _run(self) -> None:
        # Any failure ends the thread; the next receiver that waits starts another.
        with contextlib.suppress(JobKitError, OSError), self._listening() as connection:
            self._doorbell.ring_all()  # what came before the server knew of us
            for queue in _notifications(connection.socket):
                self._doorbell.ring([queue])

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Connection]:
        deadline = time.monotonic() + self._pool.target.options.timeout
        connection = self._pool.connect(deadline)
        try:
            connection.run_script(f"listen {self._pool.target.schema}", deadline)
            with self._lock:
                if self._closed:
                    raise Closed("closed while it connected")
                self._connection = connection
            connection.socket.settimeout(None)
            yield connection
        finally:
            self._connection = None
            connection.close()


def _notifications(source: socket.socket) -> Iterator[str]:
    """The payloads that arrive on *source*, until it ends or says something that was not to be expected."""
    pending = b""
    while data := source.recv(65536):
        pending += data
        while len(pending) >= 5:
            kind, length = struct.unpack_from("!Bi", pending)
            if kind not in _UNASKED:
                return
            if len(pending) <= length:
                break
            if kind == _NOTIFICATION:
                yield pending[9:length].split(b"\x00")[1].decode("utf-8", "replace")
            pending = pending[length + 1 :]
