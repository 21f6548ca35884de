"""What users can ask about a tracked job: where it stands, how far it is, how it ended; and waiting for its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import msgspec

from jobkit import records
from jobkit.backend import Backend
from jobkit.clock import steady
from jobkit.errors import JobFailed, NotFound, NotTracked, WaitTimeout
from jobkit.records import JobRecord, Progress, Stored
from jobkit.shield import shielded
from jobkit.store import RECORD_NAME, Key

if TYPE_CHECKING:
    from jobkit.handlers import Handler

R = TypeVar("R")

_PROGRESS = msgspec.json.Decoder(Progress)

FINISHED = ("dead", "ended")


@attrs.frozen(kw_only=True)
class JobStatus:
    """
    One tracked job, as its record says. Instants are aware UTC, on the store's clock.

    Attributes:
        state: parked, sent, running, custody, dead or ended.
        outcome: How it ended: done, discarded or expired; empty before.
        attempts: How often it was tried, the present or last run included.
        due: When a parked one will be sent.
        worker: Who runs it, or ran it.
        result: The handler's result as JSON; None before the end, or if nobody asked for it.
    """

    id: str
    type: str
    queue: str
    state: str
    outcome: str
    reason: str
    attempts: int
    enqueued_at: datetime | None
    due: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    worker: str
    progress: Progress | None
    result: bytes | None = attrs.field(repr=False)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in FINISHED


@shielded
def read(backend: Backend, job_id: str) -> JobStatus:
    """
    Raises:
        NotFound: There is no record of it.
        NotTracked: There is one, but its handler does not say ``track=True``, so on another backend there might be none.
    """
    if not RECORD_NAME.fullmatch(job_id):
        raise NotFound(f"{job_id!r} is no job id")
    job, progress = backend.store.get([records.job_key(job_id), Key(records.PROGRESS, job_id)])
    if job is None:
        raise NotFound(f"no record of job {job_id}: not tracked, not started yet as part of a chain, or long ended")
    stored = records.parse(job)
    if not stored.record.track and stored.record.state != "dead":
        raise NotTracked(f"job {job_id}: status needs a handler with track=True")
    return _status(job_id, stored, None if progress is None else _PROGRESS.decode(progress.value))


def _status(job_id: str, stored: Stored, progress: Progress | None) -> JobStatus:
    record = stored.record
    return JobStatus(
        id=job_id,
        type=record.type,
        queue=record.queue,
        state=record.state,
        outcome=record.outcome,
        reason=record.reason,
        attempts=record.spent + (1 if _ran_once_more(record) else 0),
        enqueued_at=record.enqueued_at,
        due=record.due,
        started_at=record.started_at,
        ended_at=record.ended_at,
        worker=record.worker,
        progress=progress,
        result=None if record.result is None else record.result.encode(),
    )


def _ran_once_more(record: JobRecord) -> bool:
    """Whether the latest run is not among the spent attempts: it goes on, or it was no failure."""
    return record.state in ("running", "custody") or record.outcome in ("done", "discarded")


class Enqueued(Generic[R]):
    """
    A job that was enqueued.

    Attributes:
        id: The job's id; of a chain, its last job's.
        created: Whether this call made it.
    """

    def __init__(self, job_id: str, handler: Handler[Any, Any, R], backend: Backend, *, created: bool = True) -> None:
        self.id = job_id
        self.created = created
        self._handler = handler
        self._backend = backend

    def __repr__(self) -> str:
        return f"<enqueued {self._handler.name} {self.id}>"

    def status(self) -> JobStatus:
        """
        Raises:
            NotTracked, NotFound: As `JobKit.status`.
        """
        self._check_tracked()
        return read(self._backend, self.id)

    def wait(self, timeout: float) -> R:
        """
        Its result, once it has succeeded; *timeout* in seconds.

        Raises:
            NotTracked: The handler does not say ``track=True``. On every backend alike.
            JobFailed: It ended without a result: dead, discarded or expired.
            WaitTimeout: Neither happened in time. The job itself goes on.
        """
        self._check_tracked()
        pauses = _pauses()
        # The real clock, also where a test holds the backend's: what is waited for runs in real time.
        deadline = steady() + timeout
        idle = threading.Event()
        while True:
            status = self._look()
            if status is not None and status.finished:
                return self._result(status)
            rest = deadline - steady()
            if rest <= 0:
                raise WaitTimeout(f"{self!r} has not ended within {timeout} s")
            idle.wait(min(rest, next(pauses)))

    async def await_result(self, timeout: float) -> R:  # noqa: ASYNC109 - the twin of `wait`
        """`wait` for async code: the event loop is not blocked."""
        return await asyncio.to_thread(self.wait, timeout)

    def _check_tracked(self) -> None:
        if not self._handler.options.track:
            raise NotTracked(f"{self._handler.name}: waiting and status need a handler with track=True")

    def _look(self) -> JobStatus | None:
        """A job in a chain has no record before it starts."""
        try:
            return read(self._backend, self.id)
        except NotFound:
            return None

    def _result(self, status: JobStatus) -> R:
        if status.outcome != "done":
            state = status.outcome or status.state
            raise JobFailed(f"{self!r} is {state}: {status.reason}", state)
        result: R = self._handler.arguments.decode_result(status.result or b"null")
        return result


def _pauses() -> Iterator[float]:
    """Seconds between looks: quick at first, for short jobs, then calmer."""
    pause = 0.01
    while True:
        yield pause
        pause = min(0.5, pause * 1.5)
