"""
The supervisor: starts the worker processes, restarts those that crash, and passes signals on.

Processes are spawned, never forked: threads, event loops and connections do not survive a fork.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import attrs

from jobkit.clock import steady
from jobkit.errors import ConfigurationError, JobKitError, SetupRequired
from jobkit.worker.engine import Engine
from jobkit.worker.isolation import Isolation
from jobkit.worker.loading import load_app
from jobkit.worker.orphans import end_with_parent
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop

log = logging.getLogger("jobkit.supervisor")

OK = 0
FAILED = 1
MISCONFIGURED = 3
"""Exit codes of a worker process: a misconfigured one is not restarted, since it would end the same way."""

FIRST_RESTART = 0.2
LONGEST_RESTART = 30.0
STABLE = 60.0
"""Seconds. A process that lived so long starts over with the shortest pause."""

_CONTEXT = multiprocessing.get_context("spawn")


@attrs.frozen(kw_only=True)
class Job:
    """What a worker process is started with; it crosses to the spawned process."""

    app_path: str
    factory: bool
    settings: Settings
    log_level: int


@attrs.define
class _Place:
    """One worker process's place, and how its latest occupant fares."""

    process: SpawnProcess | None = None
    started_at: float = 0.0
    pause: float = 0.0
    start_at: float = 0.0


class Supervisor:
    """Runs until every process has ended on purpose."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._places = [_Place() for _ in range(job.settings.processes)]
        self._signals = 0
        self._exit_code = OK
        # A signal handler only writes to this socket; the loop below, which waits on it, does the rest.
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)

    def run(self) -> int:
        """The exit code: 0 if all ended on purpose, else that of a process that is not worth restarting."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while self._places:
                self._start_due()
                self._wait()
                self._pass_on_signals()
                self._look_after()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._exit_code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._clapper.send(b"!")

    def _start_due(self) -> None:
        for place in self._places:
            if place.process is None and not self._signals and steady() >= place.start_at:
                place.process = _CONTEXT.Process(target=worker_main, args=(self._job,))
                place.process.start()
                place.started_at = steady()

    def _wait(self) -> None:
        sentinels = [place.process.sentinel for place in self._places if place.process is not None]
        pauses = [place.start_at - steady() for place in self._places if place.process is None]
        wait([self._bell, *sentinels], max(0.0, min(pauses)) if pauses else None)

    def _pass_on_signals(self) -> None:
        try:
            received = len(self._bell.recv(64))
        except BlockingIOError:
            return
        for _ in range(received):
            self._signals += 1
            log.info("stopping" if self._signals == 1 else "stopping at once")
            for place in self._places:
                if place.process is not None and place.process.pid is not None:
                    _send(place.process.pid, signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    def _look_after(self) -> None:
        for place in list(self._places):
            if place.process is not None and not place.process.is_alive():
                place.process.join()
                self._ended(place, place.process.exitcode)
            elif place.process is None and self._signals:
                self._places.remove(place)

    def _ended(self, place: _Place, code: int | None) -> None:
        if code in (OK, MISCONFIGURED) or self._signals:
            if code == MISCONFIGURED:
                self._exit_code = MISCONFIGURED
            self._places.remove(place)
            return
        lived = steady() - place.started_at
        place.pause = FIRST_RESTART if lived > STABLE or not place.pause else min(LONGEST_RESTART, place.pause * 2)
        place.start_at = steady() + place.pause
        place.process = None
        log.error("a worker process ended with exit code %s after %.1f s; next start in %.1f s", code, lived, place.pause)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        log.debug("process %d had ended already", pid)


def log_to_stderr(level: int) -> None:
    """The same lines from the supervisor and from each worker process."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(process)d: %(message)s")


def worker_main(job: Job) -> None:
    """A worker process, from its start to its exit code."""
    # The terminal sends Ctrl-C to every process; only the supervisor acts on it, and tells the others once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log_to_stderr(job.log_level)
    try:
        sys.exit(run_engine(job))
    except (ConfigurationError, SetupRequired) as error:
        log.error("%s", error)
        sys.exit(MISCONFIGURED)
    except JobKitError as error:
        log.error("%s", error)
        sys.exit(FAILED)


def run_engine(job: Job) -> int:
    """Run one engine until it is stopped by SIGTERM, or its burst is over."""
    app = load_app(job.app_path, job.factory)
    engine = Engine(Workshop(app, job.settings), Isolation(job.app_path, job.factory))
    signal.signal(signal.SIGTERM, lambda number, frame: engine.stop())
    end_with_parent(engine.stop)
    engine.run()
    app.close()
    return OK
