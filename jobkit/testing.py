"""
Tests of code that enqueues, and of handlers, without a worker: real encoding, retries, records and middleware on memory,
under a clock that stands still until it is moved.

    with jobs.test() as t:
        register(user_id=42)                        # the code under test enqueues send_welcome
        assert t.enqueued(send_welcome) == [{"user_id": 42, "template": "default"}]
        t.run()                                     # runs what is due, until nothing is
        t.advance("10m")                            # moves the clock, and runs what has become due
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from jobkit import codec, records
from jobkit.app import JobKit
from jobkit.backend import Backend
from jobkit.clock import ManualClock
from jobkit.durations import Duration, seconds
from jobkit.errors import ConfigurationError, JobKitError
from jobkit.handlers import Handler
from jobkit.memory import Broker, MemoryStore, MemoryTransport, Table
from jobkit.queues import logical
from jobkit.worker.inline import Inline
from jobkit.worker.lifespans import entered
from jobkit.worker.loops import running_loop
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop

STEPS = 10_000
"""How many jobs one `TestBench.run` runs at most: a job that enqueues itself again must not hang a test."""


class TestBench:
    """An app on a memory backend of its own. Use it as a context manager."""

    __test__ = False  # not a test class, whatever its name looks like to pytest

    def __init__(self, app: JobKit) -> None:
        self._app = app
        self.clock = ManualClock()
        self._broker = Broker()
        self._table = Table()
        self._backend = Backend(
            MemoryTransport(self._broker, clock=self.clock),
            MemoryStore(self._table, clock=self.clock),
            same_database=False,
            clock=self.clock,
        )
        self._exit = ExitStack()
        self._inline: Inline | None = None

    def __enter__(self) -> TestBench:
        before = self._app.use(self._backend)
        self._exit.callback(self._app.use, before)
        self._app.load()
        loop = self._exit.enter_context(running_loop())
        workshop = Workshop(self._app, Settings(queues=tuple(self._queues())), self._backend)
        workshop.state = self._exit.enter_context(entered(self._app.lifespan, loop))
        self._inline = Inline(workshop, loop)
        self._exit.callback(self._inline.close)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def enqueued(self, handler: Handler[..., Any, Any]) -> list[dict[str, Any]]:
        """The arguments of all of *handler*'s jobs that have not ended, delayed ones too, in order of enqueueing."""
        names = {handler.name, *handler.options.aliases}
        envelopes = [codec.decode(body) for body in self._bodies()]
        mine = sorted((one for one in envelopes if one.type in names), key=lambda one: one.id)
        return [handler.arguments.decode_with_defaults(one.args) for one in mine]

    def run(self) -> int:
        """
        Run what is due, and what it enqueues, until nothing is. Returns how many runs that were.

        Raises:
            JobKitError: It does not come to an end.
        """
        if self._inline is None:
            raise ConfigurationError("TestBench: use it as a context manager: with jobs.test() as t")
        for ran in range(STEPS):
            if not self._inline.step(self._queues()):
                return ran
        raise JobKitError(f"after {STEPS} runs there is still something due: does a job enqueue itself?")

    def advance(self, duration: Duration) -> int:
        """Move the clock, and run what has become due by then. Returns how many runs that were."""
        self.clock.advance(seconds(duration, "advance"))
        return self.run()

    def _queues(self) -> list[str]:
        """The handlers' own, and those that a job was sent to by name."""
        named = [handler.options.queue for handler in self._app.handlers()]
        return list(dict.fromkeys([*named, *map(logical, list(self._broker.queues))])) or ["default"]

    def _bodies(self) -> list[bytes]:
        held = [job.message.body for queue in self._broker.queues.values() for job in queue.jobs.values()]
        found = self._backend.store.scan(records.JOBS, limit=STEPS)
        stored = [records.parse(raw) for _, raw in found]
        return held + [one.body for one in stored if one.record.state == "parked" and one.body is not None]
