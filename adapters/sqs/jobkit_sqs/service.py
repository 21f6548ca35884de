"""One client of one service for one handle: made at first use, never shared with a forked child, asked in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from jobkit.clock import Clock
from jobkit_sqs.failures import translated
from jobkit_sqs.forks import Forgetful, after_fork
from jobkit_sqs.options import Target
from jobkit_sqs.server_clock import ServerClock, date_of, server_clock

Wrap = Callable[[Any], Any]
"""Puts something in the place of a client: for tests, since emulators are kinder than the real services."""

Reply = Mapping[str, Any]


class _Sessions(Forgetful):
    """boto3's session, which is slow to make and must not be used by two threads at once."""

    def __init__(self) -> None:
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._session: boto3.session.Session | None = None

    def client(self, service: str, **options: Any) -> Any:
        with self._lock:
            self._session = self._session or boto3.session.Session()
            return self._session.client(service, **options)  # type: ignore[call-overload]


_sessions = _Sessions()


class Service(Forgetful):
    """
    Args:
        name: ``sqs`` or ``dynamodb``.
        connections: How many may be open at once.
        longer: Seconds that a reply may take beyond the target's timeout.
    """

    def __init__(
        self, target: Target, name: str, clock: Clock, *, connections: int, longer: float = 0.0, wrap: Wrap | None = None
    ) -> None:
        self.target = target
        self.clock = clock
        self.server_clock: ServerClock = server_clock(clock, target.endpoint(name) or f"{name} {target.region}")
        self._name = name
        self._wrap = wrap
        timeout = target.options.timeout
        self._config = Config(
            connect_timeout=timeout / 4,
            read_timeout=timeout * 3 / 4 + longer,
            max_pool_connections=connections,
            # The library would send a write twice after a lost reply, and the core would never learn of it.
            retries={"total_max_attempts": 1, "mode": "standard"},
            tcp_keepalive=True,
            user_agent_extra="jobkit",
        )
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        # Dropped without closing: the parent goes on talking on the same sockets.
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self, operation: str, **parameters: Any) -> Reply:
        """
        One request.

        Raises:
            ReplyLost: It may have been carried out.
            Unavailable, SetupRequired, ConfigurationError, Rejected: It has not.
        """
        return self.timed(operation, **parameters)[0]

    def timed(self, operation: str, **parameters: Any) -> tuple[Reply, float]:
        """One request, and the latest instant of the steady clock at which the server can have answered it."""
        with translated(self.target, operation):
            client = self._connected()
            asked = self.clock.steady()
            reply: Reply = getattr(client, operation)(**parameters)
        answered = self.clock.steady()
        date = date_of(reply)
        if date is None:
            return reply, answered
        self.server_clock.saw(date, asked, answered)
        return reply, min(answered, self.server_clock.latest(date))

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                endpoint = self.target.endpoint(self._name)
                made = _sessions.client(
                    self._name, region_name=self.target.region, endpoint_url=endpoint, config=self._config
                )
                self._client = self._wrap(made) if self._wrap else made
            return self._client
