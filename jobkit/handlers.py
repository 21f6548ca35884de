"""
Handlers and what is enqueued of them. Nothing is injected into a handler's signature: it is the job's payload.

`Handler` is the decorated function: still callable, and the place to enqueue from. `Bound` is a handler with options for
one enqueue, `New` a job with its arguments that is not enqueued yet. The sketch for type checkers is
tests/typing/api.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Never, ParamSpec, TypeVar, overload

import attrs
import msgspec

from jobkit.arguments import Arguments, check_function
from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError
from jobkit.ids import new_id
from jobkit.options import Options, Using, check_headers, check_instant
from jobkit.queues import Priority, check_priority, check_queue
from jobkit.url import nearest

if TYPE_CHECKING:
    from jobkit.app import JobKit
    from jobkit.status import Enqueued

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")
C2 = TypeVar("C2")
R2 = TypeVar("R2")


class New(Generic[R]):
    """One job with its arguments, and perhaps those that follow it: to be enqueued alone or with others."""

    def __init__(
        self, handler: Handler[Any, Any, R], using: Using, args: msgspec.Raw, before: New[Any] | None = None
    ) -> None:
        self.handler = handler
        self.using = using
        self.args = args
        self.id = new_id()
        self.before = before
        self.result_as: str | None = None
        self._in_chain = False

    @overload
    def then(self, step: New[R2], /) -> New[R2]: ...
    @overload
    def then(self, step: Handler[[R], C2, R2], /) -> New[R2]: ...
    def then(self, step: Any, /) -> Any:
        """
        The chain that goes on with *step* once this job has succeeded.

        A job with its arguments (``receipt.new(order)``) takes nothing from this one; a bare handler takes this one's
        result as its only argument. Enqueueing the chain enqueues its first job, and the value of the chain is its last.

        Raises:
            ConfigurationError: *step* is no such thing, or one of the two is part of another chain already: a job is one
                job, with one id.
        """
        if self._in_chain:
            raise ConfigurationError(
                f"then(): {self.handler.name} is followed by another job already; make a new() of its own"
            )
        following = self._following(step)
        self._in_chain = True
        return following

    def _following(self, step: Any) -> New[Any]:
        if isinstance(step, Handler):
            following: New[Any] = New(step, Using(), step.arguments.encode((), {}, leave_out=_only_parameter(step)), self)
            following.result_as = step.arguments.first
            return following
        if not isinstance(step, New):
            raise ConfigurationError(f"then({step!r}): allowed are a handler, or a job from its new()")
        if step.before is not None:
            raise ConfigurationError("then(): the job that follows is itself a chain; call then() on the whole one")
        if step.using.connection is not None or step.using.at is not None:
            raise ConfigurationError("then(): a job that follows takes neither connection= nor at=; give the first one")
        if step._in_chain or step is self:
            raise ConfigurationError(f"then(): {step.handler.name} is part of a chain already; make a new() of its own")
        following = New(step.handler, step.using, step.args, self)
        following.id = step.id
        step._in_chain = True
        return following

    def enqueue(self) -> Enqueued[R]:
        """Enqueue it, with what follows it. See `Bound.enqueue`."""
        [enqueued] = self.handler.app.enqueue_many([self])
        return enqueued

    async def aenqueue(self) -> Enqueued[R]:
        """`enqueue` for async code."""
        [enqueued] = await self.handler.app.aenqueue_many([self])
        return enqueued

    def chain(self) -> list[New[Any]]:
        """From the first job to this one."""
        links: list[New[Any]] = [self]
        while links[0].before is not None:
            links.insert(0, links[0].before)
        return links


def _only_parameter(handler: Handler[Any, Any, Any]) -> str:
    first = handler.arguments.first
    if first is None:
        raise ConfigurationError(f"then({handler.name}): it takes no argument; give {handler.name}.new() instead")
    return first


class Bound(Generic[P, R]):
    """A handler with options for what is enqueued through it."""

    def __init__(self, handler: Handler[P, Any, R], using: Using) -> None:
        self._handler = handler
        self._using = using

    def new(self, /, *args: P.args, **kwargs: P.kwargs) -> New[R]:
        """
        A job with these arguments, not enqueued yet.

        Raises:
            InvalidArguments: They do not fit the handler's signature; the message names which.
        """
        return New(self._handler, self._using, self._handler.arguments.encode(args, kwargs))

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued[R]:
        """
        Enqueue a job with these arguments; when it returns, the job is stored durably.

        Raises:
            InvalidArguments: They do not fit the handler's signature; nothing was sent.
            TooLarge: The job exceeds what the backend takes; nothing was sent.
            Unavailable: The backend was not reached; nothing was sent.
            Uncertain: The reply was lost, again and again: the job may or may not be there.
        """
        return self.new(*args, **kwargs).enqueue()

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Enqueued[R]:
        """`enqueue` for async code: the event loop is not blocked."""
        return await self.new(*args, **kwargs).aenqueue()


class Handler(Bound[P, R], Generic[P, C, R]):
    """A function whose calls can be enqueued. Calling it calls the plain function."""

    def __init__(self, function: Callable[P, Any], options: Options) -> None:
        check_function(function)
        super().__init__(self, Using())
        self.function = function
        self.options = options
        self.arguments = Arguments(function, f"{options.name}()")
        self.is_async = inspect.iscoroutinefunction(function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self._app: JobKit | None = None

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> C:
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<handler {self.name}>"

    @property
    def name(self) -> str:
        """The jobs' type on the wire."""
        return self.options.name

    @property
    def app(self) -> JobKit:
        """
        Raises:
            ConfigurationError: It stands in a `Handlers` that no app has included yet.
        """
        if self._app is None:
            raise ConfigurationError(f"{self.name}: no app has it; call JobKit.include(...) with its Handlers first")
        return self._app

    def join(self, app: JobKit) -> None:
        """Belong to *app* from now on; raises if it belongs to another one."""
        if self._app not in (None, app):
            raise ConfigurationError(f"{self.name}: it belongs to another app already")
        self._app = app

    def using(
        self,
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        expires: Duration | None = None,
        priority: Priority | None = None,
        queue: str | None = None,
        headers: Mapping[str, str] | None = None,
        connection: Any = None,
        **unknown: Never,
    ) -> Bound[P, R]:
        """
        The same handler with options for what is enqueued through the result.

        Args:
            delay: Start no earlier than so long from now: seconds, timedelta or "10m".
            at: Start no earlier than this instant; aware. Excludes *delay*.
            expires: Not started within so long from its enqueueing, it ends as expired.
            priority: "low", "normal" or "high".
            headers: Text to carry along, read as ``current_job().headers``.
            connection: The caller's own database connection: the job exists if and only if its transaction commits.

        Raises:
            ConfigurationError: An option is unknown or has a wrong value; the message says what is allowed.
        """
        for name in unknown:
            raise ConfigurationError(f"using(): unknown option {name!r}{nearest(name, attrs.fields_dict(Using))}")
        return Bound(
            self,
            Using(
                delay=None if delay is None else seconds(delay, "delay"),
                at=check_instant(at, delay),
                expires=None if expires is None else seconds(expires, "expires"),
                priority=None if priority is None else check_priority(priority),
                queue=None if queue is None else check_queue(queue),
                headers=check_headers(headers or {}),
                connection=connection,
            ),
        )
