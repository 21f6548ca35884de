"""
Isolated handlers: each slot that needs one gets a process of its own, kept for the next job, and killed when a run takes too
long, loses its lease, or the worker leaves.

The child finds the handler by its name in the app, which it imports by the same path as the worker. Arguments and results
cross as JSON, failures as text: nothing is pickled that came from a job.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any

import msgspec

from jobkit import decision
from jobkit.app import JobKit
from jobkit.clock import steady
from jobkit.errors import ConfigurationError, InvalidArguments, WorkerCrashed
from jobkit.handlers import Handler
from jobkit.job import Job
from jobkit.outcome import Discarded, Failed, Outcome, Snoozed, Success
from jobkit.worker.calling import call_async, call_sync, encode_result, interpret, timed_out
from jobkit.worker.lifespans import entered
from jobkit.worker.loading import load_app
from jobkit.worker.loops import running_loop
from jobkit.worker.orphans import end_with_parent
from jobkit.worker.runs import Run

JOBS_PER_PROCESS = 1000
"""After so many jobs a process is replaced, so that what handlers leak stays bounded."""

START_TIME = 60.0
"""Seconds for a new process to import the app and enter its lifespan. They are not the handler's: with a time limit shorter
than the start, no run of it could ever succeed."""

LOOK = 1.0
"""Seconds between two looks whether a silent process lives: its pipe stays open while one that it forked holds it."""

_CONTEXT = multiprocessing.get_context("spawn")


class _Ask(msgspec.Struct, frozen=True):
    """To the child: run this."""

    type: str
    args: msgspec.Raw
    id: str
    queue: str
    attempt: int
    redelivered: bool
    enqueued_at: str
    headers: dict[str, str]
    tracked: bool
    result_needed: bool


class _Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process is up, and will take its first job."""


class _Progress(msgspec.Struct, frozen=True, tag="progress"):
    done: float
    total: float | None
    note: str


class _Success(msgspec.Struct, frozen=True, tag="success"):
    result: str | None


class _Failed(msgspec.Struct, frozen=True, tag="failed"):
    kinds: tuple[str, ...]
    message: str
    traceback: str
    after: float | None
    final: bool


class _Snoozed(msgspec.Struct, frozen=True, tag="snoozed"):
    after: float
    reason: str


class _Discarded(msgspec.Struct, frozen=True, tag="discarded"):
    reason: str


_Told = _Ready | _Progress | _Success | _Failed | _Snoozed | _Discarded
_ASK = msgspec.json.Decoder(_Ask)
_TOLD: msgspec.json.Decoder[_Told] = msgspec.json.Decoder(_Told)


class Child:
    """One process that runs isolated jobs, one after the other."""

    def __init__(self, app_path: str, factory: bool) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_child_main, args=(theirs, app_path, factory), daemon=False)
        self._process.start()
        theirs.close()
        self._ready = False
        self.jobs = 0

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def call(self, ask: _Ask, handler: Handler[Any, Any, Any], job: Job, timeout: float | None) -> Outcome:
        """Run one job. The process may be dead afterwards."""
        self.jobs += 1
        limit = None if timeout is None else timeout if self._ready else max(timeout, START_TIME)
        clock_end = None if limit is None else steady() + limit
        try:
            self._pipe.send_bytes(msgspec.json.encode(ask))
            while True:
                rest = LOOK if clock_end is None else clock_end - steady()
                if rest <= 0:
                    self.kill()
                    return decision.failed(timed_out(handler) if self._ready else _not_up(handler))
                told = self._hear(min(rest, LOOK))
                if isinstance(told, _Progress):
                    job.progress(told.done, told.total, told.note)
                elif isinstance(told, _Ready):
                    self._ready = True
                    clock_end = None if timeout is None else steady() + timeout
                elif told is not None:
                    return _outcome(told)
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            return decision.failed(WorkerCrashed(f"{handler.name}: its process ended with exit code {code}"))

    def _hear(self, seconds: float) -> _Told | None:
        """What the process says within *seconds*; raises EOFError once it is dead."""
        if wait([self._pipe], seconds):
            return _TOLD.decode(self._pipe.recv_bytes())
        if not self.alive and not self._pipe.poll():
            raise EOFError
        return None

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self._process.kill()
        self._process.join(5)

    def close(self) -> None:
        """Let an idle process end."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self.kill()


class Isolation:
    """
    The processes of one worker.

    Args:
        app_path: ``module:attribute`` of the app, for the children to import.
        factory: The attribute is a function that makes the app.
    """

    def __init__(self, app_path: str, factory: bool = False) -> None:
        self._app_path = app_path
        self._factory = factory
        self._idle: list[Child] = []
        self._lock = threading.Lock()

    def call(self, run: Run, handler: Handler[Any, Any, Any], job: Job, result_needed: bool) -> Outcome:
        """Run one job in a process; blocks until it has ended or was killed."""
        child = self._take()
        run.cancel = child.kill
        if run.lost.is_set():
            child.kill()
        try:
            return child.call(_ask(run, handler, job, result_needed), handler, job, handler.options.timeout)
        finally:
            run.cancel = None
            self._give_back(child)

    def close(self) -> None:
        """End all idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    def _take(self) -> Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
        return Child(self._app_path, self._factory)

    def _give_back(self, child: Child) -> None:
        if not child.alive:
            return
        if child.jobs >= JOBS_PER_PROCESS:
            child.close()
            return
        with self._lock:
            self._idle.append(child)


def _ask(run: Run, handler: Handler[Any, Any, Any], job: Job, result_needed: bool) -> _Ask:
    return _Ask(
        type=handler.name,
        args=run.envelope.args,
        id=job.id,
        queue=job.queue,
        attempt=job.attempt,
        redelivered=job.redelivered,
        enqueued_at=job.enqueued_at.isoformat(),
        headers=dict(job.headers),
        tracked=handler.options.track,
        result_needed=result_needed,
    )


def _not_up(handler: Handler[Any, Any, Any]) -> WorkerCrashed:
    return WorkerCrashed(f"{handler.name}: its process was not up after {START_TIME:.0f} s")


def _outcome(told: _Success | _Failed | _Snoozed | _Discarded) -> Outcome:
    match told:
        case _Success(result=result):
            return Success(None if result is None else result.encode())
        case _Failed():
            return Failed(told.kinds, told.message, told.traceback, told.after, told.final)
        case _Snoozed(after=after, reason=reason):
            return Snoozed(after, reason)
        case _Discarded(reason=reason):
            return Discarded(reason)


def _told(outcome: Outcome) -> _Told:
    match outcome:
        case Success(result=result):
            return _Success(None if result is None else result.decode())
        case Failed():
            return _Failed(outcome.kinds, outcome.message, outcome.traceback, outcome.after, outcome.final)
        case Snoozed(after=after, reason=reason):
            return _Snoozed(after, reason)
        case Discarded(reason=reason):
            return _Discarded(reason)
        case _:
            raise AssertionError(f"a handler cannot end as {outcome!r}")


def _child_main(pipe: Connection, app_path: str, factory: bool) -> None:
    """The child: runs what it is asked to, until the pipe closes or the worker has gone."""
    end_with_parent()
    app = load_app(app_path, factory)
    app.load()
    with running_loop() as loop, entered(app.lifespan, loop) as state:
        pipe.send_bytes(msgspec.json.encode(_Ready()))
        while True:
            try:
                ask = _ASK.decode(pipe.recv_bytes())
            except (EOFError, OSError):
                return
            outcome = _run(app, ask, state, loop, pipe)
            pipe.send_bytes(msgspec.json.encode(_told(outcome)))


def _run(app: JobKit, ask: _Ask, state: Any, loop: asyncio.AbstractEventLoop, pipe: Connection) -> Outcome:
    handler = app.find(ask.type)
    if handler is None:
        return decision.failed(ConfigurationError(f"the process for isolated jobs knows no handler {ask.type!r}"))

    def report(done: float, total: float | None, note: str) -> None:
        pipe.send_bytes(msgspec.json.encode(_Progress(done, total, note)))

    job = Job(
        id=ask.id,
        type=ask.type,
        queue=ask.queue,
        attempt=ask.attempt,
        redelivered=ask.redelivered,
        enqueued_at=datetime.fromisoformat(ask.enqueued_at),
        headers=ask.headers,
        state=state,
        report=report if ask.tracked else None,
    )
    try:
        arguments = handler.arguments.decode(ask.args)
        if handler.is_async:
            value = asyncio.run_coroutine_threadsafe(call_async(handler, arguments, job, app.middleware), loop).result()
        else:
            value = call_sync(handler, arguments, job, app.middleware)
    except InvalidArguments as error:
        return decision.failed(error)
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler is a failed attempt, not the end of the process
        return interpret(error)
    return encode_result(handler, ask.result_needed, value)
