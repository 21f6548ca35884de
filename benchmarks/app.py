"""The handlers that are measured."""

import os

from jobkit import JobKit
from jobkit.clock import steady

jobs = JobKit(default=os.environ.get("JOBKIT_URL", "memory://"))


@jobs.handler
def noop(number: int) -> None:
    """Nothing: what remains is jobkit's own cost."""


@jobs.handler(queue="latency")
def pick_up(sent_at: float) -> None:
    """Note how long the job took from just before its enqueueing to here; the clock is the host's, shared by processes."""
    line = f"{steady() - sent_at}\n".encode()
    descriptor = os.open(os.environ["LATENCIES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
