"""The app: handlers, configuration and the opened backend in one place. `JobKit` is what users import."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jobkit import config, enqueueing, heartbeats, status
from jobkit.adapter import Change
from jobkit.backend import Backend
from jobkit.dead_letters import DeadLetters
from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError, NotFound
from jobkit.handlers import Handler, New
from jobkit.heartbeats import WorkerReport
from jobkit.middleware import Middleware, check_middleware
from jobkit.queues import OUTBOX, check_queue, logical, physical
from jobkit.registry import Handlers
from jobkit.shield import shielded
from jobkit.stats import QueueStats, gather
from jobkit.status import Enqueued, JobStatus
from jobkit.transport import Depth
from jobkit.url import nearest

if TYPE_CHECKING:
    from jobkit.testing import TestBench

Lifespan = Callable[[], "AbstractContextManager[Any] | AbstractAsyncContextManager[Any]"]


class JobKit(Handlers):
    """
    An application's jobs. Creating one does no I/O; the backend is opened at first use.

    Args:
        default: The backend's URL, such as "sqlite:///jobs.db". The environment's ``JOBKIT_URL`` wins.
        store: The store's URL, where it is not the transport's own. ``JOBKIT_STORE_URL`` wins.
        outbox: The URL of the SQL database in which the application's transactions live, where the transport is another:
            ``connection=`` writes there, and a relay moves the jobs on. ``JOBKIT_OUTBOX_URL`` wins.
        modules: Modules that hold handlers, imported when a worker starts or a name is looked up.
        middleware: Wraps every run, the first one outermost; see `jobkit.middleware`.
        lifespan: A function that gives a context manager (sync or async): entered when a worker's process starts, left
            when it ends. What it yields is ``current_job().state``.
        prefix: Stands before the name of each handler that names itself after its function.
        unknown_type_for: How long a job whose type no worker knows is kept alive before it becomes a dead letter.
    """

    def __init__(
        self,
        default: str | None = None,
        *,
        store: str | None = None,
        outbox: str | None = None,
        modules: Sequence[str] = (),
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan | None = None,
        prefix: str = "",
        unknown_type_for: Duration = "1h",
    ) -> None:
        super().__init__(prefix)
        self._default = default
        self._store = store
        self._outbox_url = outbox
        if isinstance(modules, str):
            raise ConfigurationError(f"modules {modules!r}: give a list of names")
        self._modules = tuple(modules)
        self._loaded = False
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._outbox: Backend | None = None
        self.middleware = check_middleware(middleware)
        self.lifespan = _check_lifespan(lifespan)
        self.unknown_type_for = seconds(unknown_type_for, "unknown_type_for")
        self.dead = DeadLetters(lambda: self.backend)

    @property
    def backends(self) -> config.Backends:
        """
        The URLs in force.

        Raises:
            ConfigurationError: Neither the environment nor the code names a backend.
        """
        return config.backends(self._default, self._store, self._outbox_url)

    @property
    def backend(self) -> Backend:
        """The opened backend; for jobkit's own parts. Users need not touch it."""
        with self._lock:
            if self._backend is None:
                self._backend = Backend.open(self.backends)
            return self._backend

    @property
    def outbox(self) -> Backend | None:
        """The opened outbox, if one is named; for jobkit's own parts."""
        if config.named_outbox(self._outbox_url) is None:
            return None
        with self._lock:
            if self._outbox is None and (url := self.backends.outbox) is not None:
                self._outbox = Backend.open(config.Backends(url, url))
            return self._outbox

    def load(self) -> None:
        """Import the modules that hold handlers. Done by workers, and by whoever looks a handler up by name."""
        with self._lock:
            if self._loaded:
                return
            for module in self._modules:
                importlib.import_module(module)
            self._loaded = True

    def get(self, name: str) -> Handler[Any, Any, Any]:
        """
        The handler of this name or alias.

        Raises:
            NotFound: There is none; the message names the nearest.
        """
        self.load()
        handler = self.find(name)
        if handler is None:
            raise NotFound(f"no handler is called {name!r}{nearest(name, self._by_name)}")
        return handler

    @shielded
    def enqueue_many(self, jobs: Iterable[New[Any]], *, connection: Any = None) -> list[Enqueued[Any]]:
        """
        Enqueue jobs made by ``handler.new(...)`` in as few round trips as the backend allows.

        Args:
            connection: As in `Handler.using`, for all of them.

        Raises:
            Rejected: The broker refused some for good; the message names them, the others are stored.
            TooLarge, Unavailable, Uncertain: As `Bound.enqueue`; checks come before anything is sent.
        """
        if isinstance(jobs, New):
            raise ConfigurationError("enqueue_many: give a list of jobs; one alone has enqueue()")
        items = list(jobs)
        self._check(items)
        connection = _one_connection(items, connection)
        backend = self.backend
        if connection is None:
            enqueueing.carry_out(enqueueing.plan(items, backend), backend)
        elif (outbox := self.outbox) is not None:
            made = enqueueing.plan_for_outbox(items, backend, outbox)
            enqueueing.carry_out_in_transaction(made, outbox, connection)
        else:
            enqueueing.carry_out_in_transaction(enqueueing.plan(items, backend), backend, connection)
        return [Enqueued(item.id, item.handler, backend) for item in items]

    async def aenqueue_many(self, jobs: Iterable[New[Any]], *, connection: Any = None) -> list[Enqueued[Any]]:
        """`enqueue_many` for async code: the event loop is not blocked."""
        return await asyncio.to_thread(self.enqueue_many, list(jobs), connection=connection)

    @shielded
    def status(self, job_id: str) -> JobStatus:
        """
        Where a tracked job stands.

        Raises:
            NotTracked: Its handler does not say ``track=True``.
            NotFound: There is no record of it.
        """
        return status.read(self.backend, job_id)

    @shielded
    def stats(self, queues: Sequence[str] = ()) -> list[QueueStats]:
        """How much lies in *queues*; none named: in all that are known from handlers, workers, dead letters and broker."""
        if isinstance(queues, str):
            raise ConfigurationError(f"queues {queues!r}: give a list of names")
        return gather(self.backend, [check_queue(queue) for queue in queues] or self._known_queues())

    @shielded
    def outbox_depth(self) -> Depth | None:
        """What waits in the outbox, and for how long (`Depth.oldest_age` is the lag); None without an outbox."""
        outbox = self.outbox
        return None if outbox is None else outbox.transport.depth([OUTBOX])[0]

    @shielded
    def workers(self) -> list[WorkerReport]:
        """The workers that were heard of lately, with their counters per job type."""
        return heartbeats.read(self.backend.store)

    @shielded
    def purge(self, queue: str) -> int | None:
        """
        Remove every job that waits in *queue*; running ones, parked ones and dead letters stay.

        Returns how many; None where the broker cannot tell.
        """
        names = [physical(check_queue(queue), priority) for priority in ("high", "normal", "low")]
        removed = [self.backend.transport.purge(name) for name in names]
        return None if None in removed else sum(count for count in removed if count is not None)

    def setup(self, queues: Sequence[str] = ()) -> list[Change]:
        """Create or migrate what the backends need: schema, tables, queues. Idempotent, and safe beside running workers."""
        self.load()
        urls, names = self.backends, self._physical_queues(queues)
        changes = config.load_adapter(urls.transport).setup(urls.transport, names)
        if urls.store != urls.transport:
            changes += config.load_adapter(urls.store).setup(urls.store, [])
        if urls.outbox is not None:
            changes += config.load_adapter(urls.outbox).setup(urls.outbox, [OUTBOX])
        return changes

    def test(self) -> TestBench:
        """A context manager for tests: jobs go to memory under a clock to move by hand. See `jobkit.testing`."""
        from jobkit.testing import TestBench

        return TestBench(self)

    def close(self) -> None:
        """Close the backend; the next use opens it anew."""
        with self._lock:
            opened, self._backend, self._outbox = (self._backend, self._outbox), None, None
        for backend in opened:
            if backend is not None:
                backend.close()

    def __enter__(self) -> JobKit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def use(self, backend: Backend | None) -> Backend | None:
        """Work on *backend* from now on, and return the one before: for tests and for workers with one of their own."""
        with self._lock:
            before, self._backend = self._backend, backend
            return before

    def _add(self, name: str, handler: Handler[Any, Any, Any]) -> None:
        super()._add(name, handler)
        handler.join(self)

    def _check(self, items: Sequence[New[Any]]) -> None:
        seen: set[str] = set()
        for item in items:
            if not isinstance(item, New):
                raise ConfigurationError(f"enqueue_many: {item!r} is no job; make one with handler.new(...)")
            for link in item.chain():
                if link.handler.app is not self:
                    raise ConfigurationError(f"enqueue_many: {link.handler.name} belongs to another app")
                if link.id in seen:
                    raise ConfigurationError(
                        f"enqueue_many: a job of {link.handler.name} stands twice; make a new() for each"
                    )
                seen.add(link.id)

    def _known_queues(self) -> list[str]:
        self.load()
        named = {handler.options.queue for handler in self.handlers()}
        for worker in self.workers():
            named.update(worker.queues)
        named.update(entry.queue for entry in self.dead.list())
        named.update(logical(depth.queue) for depth in self.backend.transport.depth([]))
        return sorted(named - {""})

    def _physical_queues(self, queues: Sequence[str]) -> list[str]:
        names = {check_queue(queue) for queue in queues} or {handler.options.queue for handler in self.handlers()}
        return [physical(name, priority) for name in sorted(names) for priority in ("high", "normal", "low")]


def _check_lifespan(lifespan: Lifespan | None) -> Lifespan | None:
    if lifespan is not None and not callable(lifespan):
        raise ConfigurationError(f"lifespan={lifespan!r}: allowed is a function that gives a context manager")
    return lifespan


def _one_connection(items: Sequence[New[Any]], given: Any) -> Any:
    """The connection for all of *items*: one transaction cannot hold what another one must."""
    named = [given, *(link.using.connection for item in items for link in item.chain())]
    distinct = {id(connection): connection for connection in named if connection is not None}
    if len(distinct) > 1 or (distinct and given is None and any(item.chain()[0].using.connection is None for item in items)):
        raise ConfigurationError("enqueue_many: the jobs name different connections; give one to enqueue_many(connection=)")
    return next(iter(distinct.values()), None)
