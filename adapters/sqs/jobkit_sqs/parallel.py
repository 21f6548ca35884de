"""Requests side by side: SQS takes ten entries at a time, and DynamoDB one condition."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from jobkit.errors import Closed, JobKitError
from jobkit_sqs.forks import Forgetful, after_fork

T = TypeVar("T")
A = TypeVar("A")


class Parallel(Forgetful):
    """A few threads, started when needed. A forked child starts with none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._closed = False
        self.forget()
        after_fork(self)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def each(self, function: Callable[[T], A], items: Sequence[T]) -> list[A | JobKitError]:
        """What *function* gave for each of *items*, or its error, in order. A single one needs no other thread."""
        if len(items) == 1:
            return [_caught(function, items[0])]
        futures = [self._submit(function, item) for item in items]
        return [future.result() for future in futures]

    def all(self, function: Callable[[T], A], items: Sequence[T]) -> list[A]:
        """The same for calls of which none may fail: the first error is raised, once all have ended."""
        given = self.each(function, items)
        for one in given:
            if isinstance(one, JobKitError):
                raise one
        return [one for one in given if not isinstance(one, JobKitError)]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _submit(self, function: Callable[[T], A], item: T) -> Future[A | JobKitError]:
        with self._lock:
            if self._closed:
                raise Closed("used after close")
            self._executor = self._executor or ThreadPoolExecutor(self._most, "jobkit-sqs")
            return self._executor.submit(_caught, function, item)


def _caught(function: Callable[[T], A], item: T) -> A | JobKitError:
    try:
        return function(item)
    except JobKitError as error:
        return error
