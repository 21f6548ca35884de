"""Handlers for workers in threads and in processes of their own, and what such a process runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from jobkit import Dead, Discard, JobKit, RetryPolicy, Snooze, current_job
from jobkit.backend import Backend
from jobkit.worker.engine import Engine
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop
from jobkit_contract.around import Greedy
from jobkit_contract.bench import QUEUES, Bench
from jobkit_contract.child import Talk

UNSETTLED = 0.3
"""Seconds for which a killer waits, so that what has ended before it is settled, and only what has not begun comes back."""

F = TypeVar("F", bound=Callable[..., Any])

TWICE = RetryPolicy(max_attempts=2, delays=[0.05], jitter=0)

PATIENT = RetryPolicy(
    max_attempts=8, delays=[0.05], jitter=0, rules={LookupError: RetryPolicy(max_attempts=3, delays=[0.05], jitter=0)}
)
"""Lookup errors kill at the third attempt; what a killed worker costs never does."""


def local(function: F) -> F:
    """Let a nested function be a handler: the workers of a check find it, since its app was made beside it."""
    function.__qualname__ = function.__name__
    return function


def staff(note: Callable[[str], None], die: Callable[[], None]) -> JobKit:
    """
    The app.

    Args:
        note: Takes down that a run has begun or ended.
        die: Ends the worker that it is called in, at once.
    """
    jobs = JobKit()

    @jobs.handler(queue="jobs", retry=PATIENT)
    @local
    def plain(how: str, number: int) -> None:
        note(f"plain {how} {number}")
        end(how)

    @jobs.handler(queue="jobs", retry=PATIENT, track=True)
    @local
    def tracked(how: str, number: int) -> None:
        note(f"tracked {how} {number}")
        end(how)

    @jobs.handler(queue="jobs", retry=TWICE)
    @local
    def plain_killer() -> None:
        note("plain_killer")
        time.sleep(UNSETTLED)
        die()

    @jobs.handler(queue="jobs", retry=TWICE, track=True)
    @local
    def tracked_killer() -> None:
        note("tracked_killer")
        time.sleep(UNSETTLED)
        die()

    @jobs.handler(queue="jobs")
    @local
    def hold(seconds: float) -> None:
        note(f"hold began, attempt {current_job().attempt}")
        time.sleep(seconds)
        note("hold ended")

    @jobs.handler(queue="jobs")
    @local
    def attempt(number: int) -> None:
        note(f"attempt {current_job().attempt} of {number}")

    return jobs


def end(how: str) -> None:
    """End a run in this way."""
    job = current_job()
    time.sleep(0.005)
    if how == "flaky" and job.attempt == 1:
        raise ValueError("once")
    if how == "doomed":
        raise LookupError("always")
    if how == "dead":
        raise Dead("beyond help")
    if how == "discarded":
        raise Discard("not needed")
    if how == "snoozed" and (datetime.now(UTC) - job.enqueued_at).total_seconds() < 0.5:
        raise Snooze(0.2)


def work(bench: Bench, talk: Talk, *, lease: float, grace: float, concurrency: int, ahead: int) -> None:
    """A worker process, until SIGTERM. Says "started", and then what its handlers note."""
    said = threading.Lock()

    def note(text: str) -> None:
        with said:
            talk.say(text)

    jobs = staff(note, lambda: os.kill(os.getpid(), signal.SIGKILL))
    settings = Settings(queues=QUEUES, lease=lease, grace=grace, concurrency=concurrency)
    backend = Backend(Greedy(bench.transport(), ahead), bench.store(), same_database=False)
    jobs.use(backend)
    engine = Engine(Workshop(jobs, settings, backend))
    signal.signal(signal.SIGTERM, lambda number, frame: engine.stop())
    threading.Thread(target=_end_with_parent, args=(talk,), daemon=True).start()
    note("started")
    engine.run()


def _end_with_parent(talk: Talk) -> None:
    try:
        talk.hear()
    except SystemExit:
        os._exit(1)
