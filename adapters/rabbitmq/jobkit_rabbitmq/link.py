"""A connection with the one thread that may touch it: other threads post what they want done there, and wake it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from amqp.exceptions import AMQPError

from jobkit.errors import Closed, JobKitError, Unavailable
from jobkit_rabbitmq.failures import ReplyLost, translated, words
from jobkit_rabbitmq.forks import Forgetful, after_fork
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.wire import Wire

TICK = 0.5
"""Seconds between two looks at the clock, for heartbeats and leases; a lease that ends earlier shortens one."""

JOIN = 3.0
"""Seconds that `close` waits for the thread; it says goodbye to the server meanwhile."""


class Session(Protocol):
    """What is done on one connection, all of it in the link's thread."""

    def turn(self) -> float:
        """Do what is due; seconds until something will be."""

    def broken(self, error: JobKitError) -> None:
        """The connection has ended: tell whoever still waits for a reply."""


S = TypeVar("S", bound=Session)
T = TypeVar("T")
P = ParamSpec("P")


class Link(Forgetful, Generic[S]):
    """
    Connects when something is posted and there is no connection. Safe for several threads, and for forked children.

    Args:
        purpose: For people who look at the server's list of connections.
        open_session: Makes the session for a new connection, in the link's thread.
    """

    def __init__(self, target: Target, purpose: str, open_session: Callable[[Wire], S]) -> None:
        self._target = target
        self._purpose = purpose
        self._open_session = open_session
        self._closed = False
        self._wire: Wire | None = None
        self._ear, self._bell = -1, -1
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abandon()
        self._close_pipe()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._posted: deque[tuple[Callable[[S], None], Future[Any]]] = deque()
        self._condemned: str = ""
        self._session: S | None = None

    def post(self, command: Callable[Concatenate[S, Future[T], P], None], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have *command*, a session's method, carried out in the link's thread. It settles the future, sooner or later."""
        outcome: Future[T] = Future()
        with self._lock:
            self.check_open()
            self._posted.append((lambda session: command(session, outcome, *args, **kwargs), outcome))
            self._start()
        self._wake()
        return outcome

    def deadline(self) -> float:
        """When a call that begins now has to have ended; for `call`."""
        return time.monotonic() + self._target.options.timeout

    def call(
        self,
        deadline: float,
        command: Callable[Concatenate[S, Future[T], P], None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Post *command*, and wait for its outcome.

        Raises:
            ReplyLost: It may have been carried out.
            Unavailable, and others of the line: It has not.
        """
        return self.wait(self.post(command, *args, **kwargs), deadline)

    def wait(self, outcome: Future[T], deadline: float) -> T:
        """Until *outcome* is there. Raises as `call`."""
        try:
            return outcome.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout as error:
            if outcome.cancel():
                raise Unavailable(f"{self._target.masked}: no time was left to ask") from error
            if outcome.done() and outcome.exception() is None:
                return outcome.result()
            wire = self._wire
            why = f"{self._target.masked}: no reply within {self._target.options.timeout} s"
            if wire is not None and wire.blocked:
                why = f"{why}: the server takes no messages ({wire.blocked})"
            else:
                self.condemn(why)
            raise ReplyLost(why) from error
        except JobKitError:
            raise
        except (OSError, AMQPError) as error:
            raise translated(error, self._target.masked) from error

    def condemn(self, why: str) -> None:
        """Give the connection up: nobody knows any more what the server has done, or will still say."""
        self._condemned = why
        self._wake()

    def check_open(self) -> None:
        if self._closed:
            raise Closed(f"{self._target.masked}: used after close")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN)

    def _start(self) -> None:
        if self._thread is None:
            self._ear, self._bell = os.pipe()
            os.set_blocking(self._ear, False)
            os.set_blocking(self._bell, False)
            self._thread = threading.Thread(target=self._run, name=f"jobkit-rabbitmq-{self._purpose}", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is being woken; or not yet, or no longer, there
            os.write(self._bell, b"!")

    def _close_pipe(self) -> None:
        for descriptor in (self._ear, self._bell):
            if descriptor >= 0:
                os.close(descriptor)
        self._ear, self._bell = -1, -1

    # Everything below runs in the link's thread.

    def _run(self) -> None:
        try:
            while not self._closed:
                self._turn()
        finally:
            self._end(Closed(f"{self._target.masked}: used after close"))

    def _turn(self) -> None:
        rest = TICK
        if self._condemned:
            self._break(ReplyLost(self._condemned))
        try:
            if self._wire is not None and self._session is not None:
                # What the server has said comes first: a command must not be tried on a connection that has ended.
                self._wire.read()
                rest = min(rest, self._session.turn())
                self._wire.tick()
            self._obey()
            if self._session is not None:
                rest = min(rest, self._session.turn())
        except (OSError, AMQPError) as error:
            self._break(ReplyLost(f"{self._target.masked}: the connection failed ({words(error)})"))
        except Exception as error:  # noqa: BLE001  (a fault of ours must not leave callers waiting for this thread)
            self._break(ReplyLost(f"{self._target.masked}: {type(error).__name__}: {error}"))
        self._listen(rest)

    def _obey(self) -> None:
        while self._posted and not self._condemned:
            command, outcome = self._posted.popleft()
            if not outcome.set_running_or_notify_cancel():
                continue
            try:
                command(self._connected())
            except JobKitError as error:
                outcome.set_exception(error)
            except Exception as error:
                if not outcome.done():
                    outcome.set_exception(ReplyLost(f"{self._target.masked}: the connection failed ({words(error)})"))
                raise

    def _connected(self) -> S:
        if self._session is None:
            self._wire = Wire(self._target, self._purpose)
            self._session = self._open_session(self._wire)
        return self._session

    def _break(self, error: JobKitError) -> None:
        wire, session = self._wire, self._session
        self._wire, self._session, self._condemned = None, None, ""
        if session is not None:
            session.broken(error)
        if wire is not None:
            wire.hang_up()

    def _listen(self, rest: float) -> None:
        """Until the server says something, somebody posts something, or *rest* seconds have passed."""
        if self._posted or self._closed:
            return
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        if self._wire is not None:
            poll.register(self._wire, select.POLLIN)
        poll.poll(max(0.0, rest) * 1000)
        with suppress(BlockingIOError):
            os.read(self._ear, 4096)

    def _end(self, error: JobKitError) -> None:
        wire, self._wire = self._wire, None
        if wire is not None and self._session is not None:
            wire.close()
            self._session.broken(error)
        with self._lock:
            left, self._posted = self._posted, deque()
            self._close_pipe()
        for _, outcome in left:
            if outcome.set_running_or_notify_cancel():
                outcome.set_exception(error)
