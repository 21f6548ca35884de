"""
Measure one backend: ``python -m benchmarks [URL] [--jobs N] [--json FILE]``.

Without a URL a SQLite file in a temporary folder is measured. Every figure comes from this one run; the ratios beside the
raw driver loop are what to compare between machines. No figure is asserted anywhere: a busy machine measures busy figures.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import raw
from jobkit import config
from jobkit.clock import steady
from jobkit.url import Url

ROOT = Path(__file__).parents[1]
IDLE_SECONDS = 20.0
ROUNDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure one backend.")
    parser.add_argument("url", nargs="?", help="backend URL; a temporary SQLite file if left out")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.url or f"sqlite:///{folder}/bench.db", options.jobs, Path(folder))
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


def measure(named: str, count: int, folder: Path) -> dict[str, Any]:
    """All figures for one backend, in a namespace of their own that is removed afterwards."""
    url = Url.parse(named).with_params(namespace=f"bench_{secrets.token_hex(4)}")
    adapter = config.load_adapter(url)
    os.environ.update(JOBKIT_URL=url.text(), LATENCIES=str(folder / "latencies"))
    from benchmarks.app import jobs

    try:
        jobs.setup()
        return {
            "backend": url.scheme,
            "jobs": count,
            "python": sys.version.split()[0],
            "enqueue_per_second": enqueue(min(count, 2000)),
            "enqueue_many_per_second": enqueue_many(count),
            **drains(url, count),
            **latencies(folder),
        }
    finally:
        jobs.close()
        adapter.teardown(url)


def enqueue(count: int) -> float:
    """Jobs per second, enqueued one by one."""
    from benchmarks.app import jobs, noop

    began = steady()
    for number in range(count):
        noop.enqueue(number)
    rate = count / (steady() - began)
    jobs.purge("default")
    return rate


def enqueue_many(count: int) -> float:
    """Jobs per second, enqueued by the thousand."""
    from benchmarks.app import jobs

    rate = _fill(count)
    jobs.purge("default")
    return rate


def drains(url: Url, count: int) -> dict[str, float | None]:
    """The drain beside the raw loop, in turns, since a machine's speed drifts: medians, of the ratios too."""
    pairs = [(drain(count), raw.drain(url, count)) for _ in range(ROUNDS)]
    raws = [rate for _, rate in pairs if rate is not None]
    return {
        "drain_per_second": statistics.median(drained for drained, _ in pairs),
        "raw_claim_100_delete_100_per_second": statistics.median(raws) if raws else None,
        "drain_to_raw": statistics.median(drained / rate for drained, rate in pairs if rate) if raws else None,
    }


def drain(count: int) -> float:
    """Jobs per second through one worker process, from its first fetch to the last settlement."""
    from benchmarks.app import jobs
    from jobkit.worker.engine import Engine
    from jobkit.worker.settings import Settings
    from jobkit.worker.workshop import Workshop

    _fill(count)
    engine = Engine(Workshop(jobs, Settings(queues=("default",), burst=True)))
    began = steady()
    engine.run()
    return count / (steady() - began)


def latencies(folder: Path) -> dict[str, float]:
    """Pick-up latency across processes, busy and after idleness, and what an idle worker costs. Seconds."""
    with _worker() as process:
        _wait_for(folder, _send(1))
        close = _sample(folder, 50, pause=0.05)
        before = _cpu_seconds(process.pid)
        time.sleep(IDLE_SECONDS)
        idle = _cpu_seconds(process.pid) - before
        rested = [*_sample(folder, 1, pause=0.0), *_sample(folder, 4, pause=10.0)]
    return {
        "pick_up_p50_seconds": statistics.median(close),
        "pick_up_max_seconds": max(close),
        "pick_up_after_10_s_idle_p50_seconds": statistics.median(rested),
        f"idle_worker_cpu_seconds_in_{IDLE_SECONDS:.0f}_s": idle,
    }


def _fill(count: int) -> float:
    from benchmarks.app import jobs, noop

    began = steady()
    for start in range(0, count, 1000):
        jobs.enqueue_many([noop.new(number) for number in range(start, min(count, start + 1000))])
    return count / (steady() - began)


def _sample(folder: Path, times: int, pause: float) -> list[float]:
    known = len(_noted(folder))
    for _ in range(times):
        time.sleep(pause)
        _wait_for(folder, _send(1))
    return _noted(folder)[known:]


def _send(count: int) -> int:
    from benchmarks.app import pick_up

    known = len(_noted(Path(os.environ["LATENCIES"]).parent))
    for _ in range(count):
        pick_up.enqueue(steady())
    return known + count


def _noted(folder: Path) -> list[float]:
    path = folder / "latencies"
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def _wait_for(folder: Path, count: int) -> None:
    deadline = steady() + 30
    while len(_noted(folder)) < count:
        if steady() > deadline:
            raise TimeoutError(f"{count - len(_noted(folder))} jobs were not picked up within 30 s")
        time.sleep(0.005)


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "jobkit", "worker", "benchmarks.app:jobs", "--queue", "latency"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _cpu_seconds(pid: int) -> float:
    """CPU time of the supervisor and its worker processes, from the kernel's own accounts."""
    group = [int(name) for name in os.listdir("/proc") if name.isdigit() and _session(int(name)) == pid]
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, _stat(one)[11:13])) for one in group) / ticks


def _session(pid: int) -> int | None:
    try:
        return int(_stat(pid)[3])
    except (OSError, IndexError):
        return None


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


if __name__ == "__main__":
    sys.exit(main())
