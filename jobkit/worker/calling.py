"""Calling a handler and reading how that ended: the same in a thread, on the event loop and in a child process."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from jobkit import decision
from jobkit.errors import InvalidArguments, JobTimeout
from jobkit.handlers import Handler
from jobkit.job import _CURRENT, Job
from jobkit.middleware import Middleware, wrap, wrap_async
from jobkit.outcome import Dead, Discard, Discarded, Outcome, Retry, Snooze, Snoozed, Success

log = logging.getLogger("jobkit.worker")


def interpret(error: BaseException) -> Outcome:
    """The outcome of a run that raised *error*: a handler's instruction, or a failure."""
    match error:
        case Retry():
            return decision.failed(error, after=error.after)
        case Snooze():
            return Snoozed(error.after, error.reason)
        case Discard():
            return Discarded(error.reason)
        case Dead():
            return decision.failed(error, final=True)
        case _:
            return decision.failed(error)


def encode_result(handler: Handler[Any, Any, Any], needed: bool, value: Any) -> Outcome:
    """A success with its result, if somebody needs that. One that cannot be carried ends the job: it has run, after all."""
    if not needed:
        return Success()
    try:
        return Success(handler.arguments.encode_result(value))
    except Exception as error:  # noqa: BLE001 - a model's own code dumps it, and may raise anything
        log.error("%s: its result cannot be carried: %s", handler.name, error)
        return decision.failed(InvalidArguments(f"{handler.name}: its result cannot be carried: {error}"), final=True)


def call_sync(handler: Handler[Any, Any, Any], arguments: dict[str, Any], job: Job, middleware: Sequence[Middleware]) -> Any:
    """Run a def handler inside its middleware, with `current_job` set."""
    token, process = _CURRENT.set(job), os.getpid()
    try:
        if not middleware:
            return handler.function(**arguments)
        return wrap(middleware, job, lambda: handler.function(**arguments))()
    finally:
        if os.getpid() != process:
            os._exit(1)  # the handler forked and let the child return: it must not go on as a second worker
        _CURRENT.reset(token)


async def call_async(
    handler: Handler[Any, Any, Any], arguments: dict[str, Any], job: Job, middleware: Sequence[Middleware]
) -> Any:
    """Run an async handler inside its middleware, with `current_job` set, within its time limit."""
    _CURRENT.set(job)
    try:
        async with asyncio.timeout(handler.options.timeout) as limit:
            return await wrap_async(middleware, job, lambda: handler.function(**arguments))()
    except TimeoutError as error:
        if limit.expired():
            raise timed_out(handler) from error
        raise


def timed_out(handler: Handler[Any, Any, Any]) -> JobTimeout:
    """The error of a run that took too long."""
    return JobTimeout(f"{handler.name} took longer than its time limit of {handler.options.timeout} s")
