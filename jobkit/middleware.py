"""
What wraps every run of a handler: ``(job, call_next)``, the first one outermost.

A plain function ``def m(job, call_next)`` wraps def handlers (in threads and isolated processes); ``async def`` wraps async
handlers, and awaits ``call_next()``. A middleware for both is a pair: ``Both(sync=..., asynchronous=...)``.
``call_next()`` runs the rest and returns the handler's result; what it raises, a middleware may look at, change or pass on.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from jobkit.errors import ConfigurationError
from jobkit.job import Job

SyncMiddleware = Callable[[Job, Callable[[], Any]], Any]
AsyncMiddleware = Callable[[Job, Callable[[], Awaitable[Any]]], Awaitable[Any]]


@attrs.frozen
class Both:
    """One middleware for def handlers and for async ones."""

    sync: SyncMiddleware
    asynchronous: AsyncMiddleware


Middleware = SyncMiddleware | AsyncMiddleware | Both


def check_middleware(middleware: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """*middleware*, if each is one; else a ConfigurationError that names the first that is not."""
    if not isinstance(middleware, Sequence):
        raise ConfigurationError(f"middleware={middleware!r}: allowed is a list of functions (job, call_next)")
    for one in middleware:
        if not (callable(one) or isinstance(one, Both)):
            raise ConfigurationError(f"middleware {one!r}: allowed are functions (job, call_next), and Both(...)")
    return tuple(middleware)


def wrap(middleware: Sequence[Middleware], job: Job, call: Callable[[], Any]) -> Callable[[], Any]:
    """*call* within all that apply to def handlers."""
    for one in reversed(middleware):
        if isinstance(one, Both):
            call = _bind(one.sync, job, call)
        elif not inspect.iscoroutinefunction(one):
            call = _bind(one, job, call)
    return call


def wrap_async(
    middleware: Sequence[Middleware], job: Job, call: Callable[[], Awaitable[Any]]
) -> Callable[[], Awaitable[Any]]:
    """*call* within all that apply to async handlers."""
    for one in reversed(middleware):
        if isinstance(one, Both):
            call = _bind(one.asynchronous, job, call)
        elif inspect.iscoroutinefunction(one):
            call = _bind(one, job, call)
    return call


def _bind(one: Callable[..., Any], job: Job, call_next: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: one(job, call_next)
