"""A real worker on a real server, both of which are killed in the middle of the work."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobkit import JobKit
from jobkit.url import Url

APP = """
import os
from jobkit import JobKit

jobs = JobKit()

@jobs.handler
def count(number: int) -> None:
    with open(os.environ["EFFECTS"], "ab", buffering=0) as effects:
        effects.write(f"{number}\\n".encode())
"""

Eventually = Callable[[Callable[[], object]], None]
JOBS = 3000


class Work:
    """Jobs that each leave one line, and the workers that do them."""

    def __init__(self, url: Url, folder: Path, app: Any) -> None:
        self._folder = folder
        self._app = app
        self._environment = {**os.environ, "JOBKIT_URL": url.text(), "EFFECTS": str(folder / "effects")}
        self._workers: list[subprocess.Popen[bytes]] = []

    @property
    def jobs(self) -> JobKit:
        found: JobKit = self._app.jobs
        return found

    def enqueue(self, numbers: Iterable[int]) -> None:
        self.jobs.enqueue_many([self._app.count.new(number) for number in numbers])

    def reach(self, goal: int) -> None:
        deadline = time.monotonic() + 60
        while sum(self.done().values()) < goal:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.01)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "jobkit", "worker", "app_of_the_test:jobs", "--lease", "2", *options]
        with (self._folder / "log").open("ab") as log:
            worker = subprocess.Popen(words, cwd=self._folder, env=self._environment, start_new_session=True, stderr=log)
        self._workers.append(worker)
        return worker

    def done(self) -> Counter[int]:
        path = self._folder / "effects"
        return Counter(map(int, path.read_text().split())) if path.exists() else Counter()

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
        self.jobs.close()


@pytest.fixture
def server(private: Callable[..., Any]) -> Any:
    return private("--appendonly", "yes")


@pytest.fixture
def work(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    (tmp_path / "app_of_the_test.py").write_text(APP)
    monkeypatch.setenv("JOBKIT_URL", server.url().text())
    monkeypatch.syspath_prepend(tmp_path)
    made = Work(server.url(), tmp_path, importlib.import_module("app_of_the_test"))
    yield made
    made.close()
    del sys.modules["app_of_the_test"]


def test_workers_that_are_killed_lose_no_job(work: Work) -> None:
    work.enqueue(range(JOBS))
    for goal in (200, 1000):
        worker = work.start("--concurrency", "4")
        work.reach(goal)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert work.start("--burst").wait(90) == 0
    assert set(work.done()) == set(range(JOBS))


def test_a_server_that_is_killed_and_restarted_loses_no_job(work: Work, server: Any, eventually: Eventually) -> None:
    work.enqueue(range(JOBS))
    worker = work.start("--concurrency", "4")
    for goal in (200, 1000):
        work.reach(goal)
        server.kill()
        server.start()
    eventually(lambda: len(work.done()) == JOBS)
    eventually(lambda: all(not (one.ready or one.delayed or one.leased) for one in work.jobs.stats()))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert work.jobs.dead.count() == 0
