"""Collections of handlers by name: `Handlers` knows no app, `jobkit.app.JobKit` is one that does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import attrs

from jobkit.arguments import check_function
from jobkit.durations import Duration
from jobkit.errors import ConfigurationError
from jobkit.handlers import Handler
from jobkit.options import Options
from jobkit.queues import Priority
from jobkit.retry import DEFAULT_POLICY, Policy
from jobkit.url import nearest

P = ParamSpec("P")
R = TypeVar("R")


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
        self._included_by: list[Handlers] = []

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
        """Take over all of *handlers*, and those that join them later; a name that is taken raises."""
        if self._reaches(handlers):
            raise ConfigurationError("include(): these handlers include this collection themselves")
        for name, handler in handlers._by_name.items():
            self._add(name, handler)
        handlers._included_by.append(self)

    def _reaches(self, other: Handlers) -> bool:
        """Whether what joins this collection joins *other* too."""
        return self is other or any(including._reaches(other) for including in self._included_by)

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
        for including in self._included_by:
            including._add(name, handler)


def _place(handler: Handler[Any, Any, Any]) -> str:
    return f"{handler.function.__module__}.{handler.function.__qualname__}"
