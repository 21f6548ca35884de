"""
Handlers and what is enqueued of them. Nothing is injected into a handler's signature: it is the job's payload.

`Handler` is the decorated function: still callable, and the place to enqueue from. `Bound` is a handler with options for
one enqueue, `New` a job with its arguments that is not enqueued yet. The sketch for type checkers is
tests/typing/api.py.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Never, ParamSpec, TypeVar, overload

import attrs
import msgspec

from jobkit.arguments import Arguments, check_function
from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError
from jobkit.ids import new_id
from jobkit.queues import Priority, check_priority, check_queue
from jobkit.retry import DEFAULT_POLICY, Policy, check_policy
from jobkit.url import nearest

if TYPE_CHECKING:
    from jobkit.app import JobKit
    from jobkit.status import Enqueued

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")
C2 = TypeVar("C2")
R2 = TypeVar("R2")


def _timeout(value: Duration | None) -> float | None:
    return None if value is None else seconds(value, "timeout")


def _expires(value: Duration | None) -> float | None:
    return None if value is None else seconds(value, "expires")


def _result_ttl(value: Duration) -> float:
    return seconds(value, "result_ttl")


def _type_name(name: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}", str(name)):
        raise ConfigurationError(f"handler name {name!r}: allowed are 1 to 200 characters, none of them a control character")
    return str(name)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError(f"aliases {names!r}: give a list of names")
    return tuple(map(_type_name, names))


@attrs.frozen(kw_only=True)
class Options:
    """
    What a handler says about its jobs.

    Attributes:
        name: The jobs' type on the wire.
        aliases: Former names: jobs under them run here too.
        timeout: Seconds that a run may take.
        isolated: Run in a process of its own, which can be killed.
        track: Keep a record: status, waiting for the result, progress.
        result_ttl: Seconds for which a tracked job's end is kept.
        expires: Seconds after the enqueue; a job that has not started by then ends as expired.
        version: The version of the arguments, carried along.
    """

    name: str = attrs.field(converter=_type_name)
    queue: str = attrs.field(default="default", converter=check_queue)
    priority: Priority = attrs.field(default="normal", converter=check_priority)
    retry: Policy = attrs.field(default=DEFAULT_POLICY, converter=check_policy)
    timeout: float | None = attrs.field(default=None, converter=_timeout)
    isolated: bool = False
    track: bool = False
    result_ttl: float = attrs.field(default=86400.0, converter=_result_ttl)
    expires: float | None = attrs.field(default=None, converter=_expires)
    aliases: tuple[str, ...] = attrs.field(default=(), converter=_names)
    version: int = 1


@attrs.frozen(kw_only=True)
class Using:
    """What one enqueue says beyond its arguments; None leaves it to the handler."""

    delay: float | None = None
    at: datetime | None = None
    expires: float | None = None
    priority: Priority | None = None
    queue: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    connection: Any = None


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
                at=_check_instant(at, delay),
                expires=None if expires is None else seconds(expires, "expires"),
                priority=None if priority is None else check_priority(priority),
                queue=None if queue is None else check_queue(queue),
                headers=_check_headers(headers or {}),
                connection=connection,
            ),
        )


def _check_instant(at: datetime | None, delay: Duration | None) -> datetime | None:
    if at is not None and delay is not None:
        raise ConfigurationError("using(): give delay= or at=, not both")
    if at is not None and not isinstance(at, datetime):
        raise ConfigurationError(f"at={at!r}: allowed is an aware datetime")
    if at is not None and at.utcoffset() is None:
        raise ConfigurationError(f"at={at.isoformat()}: a naive datetime says no instant; give it a time zone")
    return at


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not all(isinstance(text, str) for text in (name, value)):
            raise ConfigurationError(f"header {name!r}: names and values are text")
    return dict(headers)


class _WithOptions:
    """What ``@jobs.handler(queue=...)`` returns: it takes the function."""

    def __init__(self, register: Callable[[Callable[..., Any]], Handler[Any, Any, Any]]) -> None:
        self._register = register

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Handler[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Handler[P, R, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        return self._register(function)


class Handlers:
    """
    A collection of handlers that knows no app, so that modules need not import one. `JobKit.include` joins it.

    Args:
        prefix: Stands before the name of each handler that names itself after its function, such as "email.".
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._by_name: dict[str, Handler[Any, Any, Any]] = {}

    @overload
    def handler(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Handler[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def handler(self, function: Callable[P, R], /) -> Handler[P, R, R]: ...
    @overload
    def handler(
        self,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: Priority = "normal",
        retry: Policy = DEFAULT_POLICY,
        timeout: Duration | None = None,
        isolated: bool = False,
        track: bool = False,
        result_ttl: Duration = "1d",
        expires: Duration | None = None,
        aliases: Sequence[str] = (),
        version: int = 1,
    ) -> _WithOptions: ...
    def handler(self, function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
        """
        Make a function a handler: ``@jobs.handler``, or ``@jobs.handler(queue="email", ...)``.

        Args:
            name: The jobs' type on the wire; else prefix + the function's name. It outlives the function's name.
            queue, priority: Where its jobs wait.
            retry: When a failed one is tried again: a `RetryPolicy`, or any `Policy`.
            timeout: How long a run may take. An async handler is cancelled, an isolated one's process is killed; in a
                thread an exception is raised at the next Python instruction, so a call that blocks in C ends only
                when it returns.
            isolated: Run in a process of its own: for CPU-heavy work, for code that may crash, and for hard time limits.
            track: Keep a record: status, waiting for the result, progress.
            result_ttl: How long a tracked job's end and result are kept.
            expires: Not started within so long, a job ends as expired.
            aliases: Former names of the handler.
            version: The version of the arguments, for those who change them.

        Raises:
            ConfigurationError: The function cannot be a handler, the name is taken, or an option is unknown.
        """
        if function is not None:
            return self._register(function, name, options)
        return _WithOptions(lambda given: self._register(given, name, options))

    def include(self, handlers: Handlers) -> None:
        """Take over all of *handlers*; a name that is taken raises."""
        for name, handler in handlers._by_name.items():
            self._add(name, handler)

    def find(self, name: str) -> Handler[Any, Any, Any] | None:
        """The handler of this name or alias."""
        return self._by_name.get(name)

    def handlers(self) -> list[Handler[Any, Any, Any]]:
        """All of them, each once, in order of registration."""
        return list(dict.fromkeys(self._by_name.values()))

    def _register(
        self, function: Callable[..., Any], name: str | None, options: Mapping[str, Any]
    ) -> Handler[Any, Any, Any]:
        known = attrs.fields_dict(Options)
        for option in options:
            if option not in known:
                raise ConfigurationError(f"handler(): unknown option {option!r}{nearest(option, known)}")
        check_function(function)
        named = self._prefix + function.__name__ if name is None else name
        handler: Handler[..., Any, Any] = Handler(function, Options(name=named, **options))
        for known_as in (handler.name, *handler.options.aliases):
            self._add(known_as, handler)
        return handler

    def _add(self, name: str, handler: Handler[Any, Any, Any]) -> None:
        other = self._by_name.get(name)
        if other is not None and other is not handler:
            raise ConfigurationError(
                f"two handlers are called {name!r}: {_place(other)} and {_place(handler)}; give one a name= of its own"
            )
        self._by_name[name] = handler


def _place(handler: Handler[Any, Any, Any]) -> str:
    return f"{handler.function.__module__}.{handler.function.__qualname__}"
