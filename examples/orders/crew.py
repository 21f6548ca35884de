"""The workers of the demo, started as anybody would start them: with ``jobkit worker``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from examples.orders import outside
from examples.orders.app import jobs
from examples.orders.books import Places
from jobkit import JobKitError

QUEUES = ("imports", "mail", "invoices", "payments")


class Crew:
    """The running workers; what they print stands in a file."""

    def __init__(self, process: subprocess.Popen[bytes], places: Places) -> None:
        self._process = process
        self._places = places

    def check(self) -> None:
        """
        Raises:
            JobKitError: They are gone.
        """
        if (code := self._process.poll()) is not None:
            raise JobKitError(f"the workers ended with exit code {code}:\n{self._places.log.read_text()[-2000:]}")

    def dismiss(self) -> None:
        """Let them finish what they run, and leave."""
        self._process.terminate()
        self._process.wait(timeout=60)


@contextmanager
def crew(places: Places, *, mail: str, payments: str, processes: int, concurrency: int) -> Iterator[Crew]:
    """
    Workers for the length of the block.

    Args:
        mail, payments: The addresses of the services.
    """
    command = [sys.executable, "-m", "jobkit", "worker", "examples.orders.app:jobs"]
    # The lease is shorter than usual: what a crashed worker held comes back before anybody watching loses patience.
    command += [f"--processes={processes}", f"--concurrency={concurrency}", "--lease=20"]
    command += [f"--queue={queue}" for queue in QUEUES]
    command += ["--relay"] if jobs.backends.outbox is not None else []
    environment = {outside.MAIL: mail, outside.PAYMENTS: payments, outside.INVOICES: str(places.invoices)}
    with places.log.open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log, process_group=0)
    workers = Crew(process, places)
    try:
        yield workers
    finally:
        workers.dismiss()
