"""What a worker is told: one frozen value, handed down from the command line to every part."""

from __future__ import annotations

import os
import secrets
import socket

import attrs

from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError
from jobkit.queues import check_queue


def _lease(value: Duration) -> float:
    return seconds(value, "lease")


def _grace(value: Duration) -> float:
    return seconds(value, "grace")


def _queues(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_queue(name) for name in names))


@attrs.frozen(kw_only=True)
class Settings:
    """
    Attributes:
        queues: Which to work on; none named: those of all handlers.
        concurrency: How many jobs run at once in one process.
        lease: Seconds for which jobs are borrowed; extended while they run. A crashed worker's jobs come back after it.
        grace: Seconds that running jobs get to end after the signal to stop.
        burst: End when nothing is left to do, delayed jobs aside.
        relay: Move the outbox's jobs on, too.
    """

    queues: tuple[str, ...] = attrs.field(default=(), converter=_queues)
    concurrency: int = 10
    processes: int = 1
    lease: float = attrs.field(default=60.0, converter=_lease)
    grace: float = attrs.field(default=25.0, converter=_grace)
    burst: bool = False
    relay: bool = False

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.concurrency <= 10_000:
            raise ConfigurationError(f"concurrency {self.concurrency}: allowed is 1 to 10000")
        if not 1 <= self.processes <= 1_000:
            raise ConfigurationError(f"processes {self.processes}: allowed is 1 to 1000")
        if self.lease < 0.5:
            raise ConfigurationError(f"lease {self.lease} s: allowed is 0.5 s and more")


def new_worker_id() -> str:
    """A worker process's name: where it runs, and a part that no later process on the same host repeats."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
