"""An app under test on a backend, with real worker processes and what they noted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

from jobkit import JobKit

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60.0) -> None:
    """Look until *condition* holds; fail naming *what* if it does not within *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s for: {what}"
        time.sleep(0.02)


@attrs.define
class Shop:
    """A backend, the app under test on it, its effects file and its worker processes."""

    url: str
    folder: Path
    jobs: JobKit
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    environment_url: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "JOBKIT_URL": self.environment_url or self.url, "EFFECTS": str(self.folder / "effects")}

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """A worker in a process group of its own."""
        with open(self.folder / "log", "ab") as log:
            process = self._spawn(options, log)
        self.processes.append(process)
        return process

    def _spawn(self, options: Sequence[str], log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "jobkit", "worker", "tests.worker.app_under_test:jobs", *options],
            cwd=ROOT,
            env=self.environment,
            start_new_session=True,
            stderr=log,
        )

    def burst(self, *options: str) -> None:
        """Run until nothing is left to do."""
        process = self.start("--burst", *options)
        assert process.wait(90) == 0, self.log()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """The whole group, at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def terminate(self, process: subprocess.Popen[bytes], timeout: float = 60) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout)

    def effects(self) -> list[str]:
        """What the handlers noted, without the process ids."""
        return [line.rsplit(" ", 1)[0] for line in self.raw_effects()]

    def raw_effects(self) -> list[str]:
        path = self.folder / "effects"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_effects(self, count: int) -> None:
        """Until the handlers have noted so much."""
        wait_until(lambda: len(self.raw_effects()) >= count, f"{count} effects")

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def at_rest(self) -> bool:
        """Whether nothing is ready, delayed or on loan."""
        return all(not (one.ready or one.delayed or one.leased) for one in self.jobs.stats())
