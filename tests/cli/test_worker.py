"""``jobkit worker``, as processes of their own."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import jobkit
from jobkit import JobKit

HEAVY = ("jobkit.worker.supervisor", "jobkit.sqlite", "jobkit_postgres", "pg8000", "pytest", "shop")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobkit", *arguments]


def finish(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(command(*arguments), env=env, capture_output=True, text=True, check=False, timeout=60)


class Talk:
    """A running command, and the lines that it says on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.heard: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_for(self, text: str) -> None:
        line = ""
        while text not in line:
            line = self._lines.get(timeout=30)
            assert line, f"it ended without saying {text!r}: {self.heard}"
            self.heard.append(line)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")


@contextmanager
def talking(*arguments: str, **environment: str) -> Iterator[Talk]:
    env = {**os.environ, **environment}
    process = subprocess.Popen(command(*arguments), env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield Talk(process)
    finally:
        process.kill()
        process.wait(timeout=30)
        assert process.stderr is not None
        process.stderr.close()


def test_a_burst_does_what_there_is_and_ends(shop: JobKit) -> None:
    job = shop.get("charge").enqueue(7)
    done = finish("worker", "shop:jobs", "--burst", "--queue", "money", "--processes", "2", "--concurrency", "2")
    assert done.returncode == 0, done.stderr
    assert job.status().outcome == "done"


def test_only_the_named_queues_are_worked_on(shop: JobKit) -> None:
    shop.get("charge").enqueue(7)
    assert finish("worker", "shop:jobs", "--burst", "--queue", "mail").returncode == 0
    assert shop.stats(["money"])[0].ready == 1


def test_the_url_reaches_the_worker_processes_but_no_command_line(directory: Path, shop: JobKit) -> None:
    (directory / "spy.py").write_text(SPY)
    url = "sqlite:///elsewhere.db"
    assert finish("enqueue", "look", "--app", "spy:jobs", "--url", url).returncode == 0
    done = finish("worker", "spy:jobs", "--burst", "--url", url)
    assert done.returncode == 0, done.stderr
    assert "elsewhere" not in done.stdout
    assert "looked" in done.stdout


SPY = """
import sys

from jobkit import JobKit

jobs = JobKit()

@jobs.handler
def look() -> None:
    print("looked", sys.orig_argv)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish_and_leave_with_0(directory: Path, number: int) -> None:
    (directory / "slow.py").write_text(SLOW)
    assert finish("enqueue", "slow", "--app", "slow:jobs").returncode == 0
    with talking("worker", "slow:jobs") as worker:
        worker.wait_for("slow job runs")
        worker.process.send_signal(number)
        worker.wait_for("stopping")
        (directory / "go").touch()
        worker.wait_for("slow job ended")
        assert worker.process.wait(timeout=30) == 0


SLOW = """
import sys
import time
from pathlib import Path

from jobkit import JobKit

jobs = JobKit(default="sqlite:///slow.db")

@jobs.handler
def slow() -> None:
    print("slow job runs", file=sys.stderr, flush=True)
    while not Path("go").exists():
        time.sleep(0.01)
    print("slow job ended", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["worker", "no_such_module:jobs"], 3, "no_such_module"),
        (["worker", "shop:job"], 3, "did you mean 'jobs'?"),
        (["worker", "shop:bare"], 3, "no backend"),
        (["worker", "shop:make"], 3, "--factory"),
        (["worker", "shop:jobs", "--factory"], 3, "not a function"),
        (["worker", "typo:jobs"], 3, "typo.py"),
        (["worker", "shop:jobs", "--url", "nosuch://me:hunter22@host"], 3, "no adapter for nosuch://"),
        (["worker", "shop:jobs", "--colour"], 2, "--colour"),
        (["worker", "shop:jobs", "--log-level", "loud"], 2, "loud"),
    ],
)
def test_what_can_never_work_ends_at_once(directory: Path, arguments: list[str], code: int, told: str) -> None:
    (directory / "typo.py").write_text("jobs = = 1\n")
    done = finish(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter22" not in done.stderr


def test_a_server_that_is_away_does_not_end_it_and_its_password_is_not_logged(shop: JobKit) -> None:
    with talking("worker", "shop:jobs", JOBKIT_URL="postgresql://me:hunter22@127.0.0.1:9/jobs") as worker:
        worker.wait_for("127.0.0.1")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(timeout=30) == 0
    assert "hunter22" not in "".join(worker.heard)


def test_a_look_at_the_help_imports_neither_app_nor_adapters_nor_plugins(directory: Path) -> None:
    code = f"""
import sys
from jobkit.cli import main
for arguments in (["--help"], ["worker", "--help"], ["stats", "--app", "shop:jobs", "--help"], ["doctor", "--help"]):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stderr == "[]\n"


def test_the_console_script_is_the_same_command(directory: Path) -> None:
    script = str(Path(sys.executable).with_name("jobkit"))
    for line in ([script, "--version"], command("--version")):
        shown = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
        assert shown.stdout == f"jobkit {jobkit.__version__}\n"


@pytest.mark.parametrize("path", ["", "./shop", ".shop:jobs", ":jobs", "shop..x", "shop/jobs"])
def test_a_path_that_can_name_no_module_is_refused_and_not_tried_again_and_again(path: str) -> None:
    ended = finish("worker", path)
    assert ended.returncode == 3
    assert "name it as module:attribute" in ended.stderr
    assert "Traceback" not in ended.stderr
