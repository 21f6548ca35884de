"""
Running one job: in the slot's own thread, on the process's event loop, or in a process of its own.

A slot is a thread in every case: for an async or isolated job it waits. So concurrency, time limits and shutdown are the
same for all three kinds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs

from jobkit import decision, records, tracking
from jobkit.errors import InvalidArguments, Uncertain
from jobkit.handlers import Handler
from jobkit.job import Job
from jobkit.outcome import HandedBack, Outcome
from jobkit.records import JobRecord, Stored
from jobkit.store import Write
from jobkit.transport import Answer
from jobkit.worker.calling import call_async, call_sync, encode_result, interpret, timed_out
from jobkit.worker.isolation import Isolation
from jobkit.worker.progress import Reporter
from jobkit.worker.runs import Run
from jobkit.worker.time_limits import TimeLimitReached, Watchdog
from jobkit.worker.workshop import Workshop

REPEAT_PAUSE = 0.05
"""Seconds before a write with an unknown result is repeated."""


class Execution:
    """Runs jobs for the slots of one process."""

    def __init__(self, workshop: Workshop, loop: asyncio.AbstractEventLoop, isolation: Isolation | None) -> None:
        self._workshop = workshop
        self._loop = loop
        self._isolation = isolation
        self._watchdog = Watchdog(workshop.backend.clock)

    def execute(self, run: Run) -> Outcome | None:
        """
        How the run ended; None if it must be left alone, because its lease is gone.

        Raises:
            Unavailable: The start could not be marked; nothing has run.
        """
        handler = run.handler
        if handler is None or not self._workshop.may_start(run):
            return None
        if not self._mark_start(run, handler):
            return HandedBack()  # its record has changed since it was looked up: whoever gets it next looks again
        run.started_at = self._workshop.backend.clock.steady()
        try:
            arguments = handler.arguments.decode(run.envelope.args)
        except InvalidArguments as error:
            return decision.failed(error)
        outcome = self._call(run, handler, arguments)
        return None if run.lost.is_set() else outcome

    def close(self) -> None:
        """End the time-keeping and the processes for isolated jobs."""
        self._watchdog.close()
        if self._isolation is not None:
            self._isolation.close()

    def _mark_start(self, run: Run, handler: Handler[Any, Any, Any]) -> bool:
        """Write the start of a job that has, or needs, a record. A plain job's first run needs none."""
        if run.delivery is None or not tracking.needs_lookup(run.envelope, run.delivery.receives):
            return True
        workshop = self._workshop
        with run.lock:
            record, write = tracking.marked_start(
                run.envelope,
                run.stored,
                worker=workshop.id,
                now=workshop.backend.now(),
                lease=workshop.settings.lease,
                track=handler.options.track,
            )
        while (marked := self._try_mark(run, record, write)) is None:
            if not workshop.may_start(run):
                return False
            workshop.leaving.wait(REPEAT_PAUSE)  # without the lock, which the heartbeat needs too
        return marked

    def _try_mark(self, run: Run, record: JobRecord, write: Write) -> bool | None:
        """None where the reply was lost: the mark may be there, and then the same write again finds it to be its own."""
        with run.lock:
            try:
                [written] = records.put(self._workshop.backend.store, [write])
            except Uncertain:
                return None
            if written.answer is not Answer.YES or written.version is None:
                return False
            run.stored = Stored(record, None, written.version)
            return True

    def _call(self, run: Run, handler: Handler[Any, Any, Any], arguments: dict[str, Any]) -> Outcome:
        reporter = self._reporter(run, handler)
        job = self._job(run, handler, reporter)
        try:
            value = self._choose(handler)(run, handler, arguments, job)
        except TimeLimitReached:
            return decision.failed(timed_out(handler))
        except BaseException as error:  # noqa: BLE001 - SystemExit or a cancellation in a handler must not end the slot
            return interpret(error)
        finally:
            if reporter is not None:
                reporter.flush()
        if isinstance(value, _Outcome):
            return value.outcome
        return encode_result(handler, _result_needed(run, handler), value)

    def _choose(self, handler: Handler[Any, Any, Any]) -> Callable[..., Any]:
        if handler.options.isolated and self._isolation is not None:
            return self._call_isolated
        return self._call_on_loop if handler.is_async else self._call_here

    def _call_here(self, run: Run, handler: Handler[Any, Any, Any], arguments: dict[str, Any], job: Job) -> Any:
        if handler.options.timeout is None:
            return call_sync(handler, arguments, job, self._workshop.app.middleware)
        with self._watchdog.limit(handler.options.timeout):
            return call_sync(handler, arguments, job, self._workshop.app.middleware)

    def _call_on_loop(self, run: Run, handler: Handler[Any, Any, Any], arguments: dict[str, Any], job: Job) -> Any:
        call = call_async(handler, arguments, job, self._workshop.app.middleware)
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        run.cancel = future.cancel
        if run.lost.is_set():
            future.cancel()
        return future.result()

    def _call_isolated(self, run: Run, handler: Handler[Any, Any, Any], arguments: dict[str, Any], job: Job) -> Any:
        assert self._isolation is not None  # `_choose` has looked
        return _Outcome(self._isolation.call(run, handler, job, _result_needed(run, handler)))

    def _reporter(self, run: Run, handler: Handler[Any, Any, Any]) -> Reporter | None:
        """Only tracked jobs have a place for progress."""
        if not handler.options.track:
            return None
        return Reporter(self._workshop.backend, run.envelope.id, handler.options.result_ttl)

    def _job(self, run: Run, handler: Handler[Any, Any, Any], reporter: Reporter | None) -> Job:
        envelope = run.envelope
        return Job(
            id=envelope.id,
            type=envelope.type,
            queue=envelope.queue,
            attempt=tracking.spent(envelope, run.stored) + 1,
            redelivered=run.delivery is not None and run.delivery.receives > 1,
            enqueued_at=envelope.enqueued_at,
            headers=envelope.headers,
            state=self._workshop.state,
            lost=run.lost,
            report=None if reporter is None else reporter.report,
        )


@attrs.frozen
class _Outcome:
    """An outcome that another process has found already."""

    outcome: Outcome


def _result_needed(run: Run, handler: Handler[Any, Any, Any]) -> bool:
    successors = run.envelope.successors
    return handler.options.track or bool(successors and successors[0].result_as is not None)
