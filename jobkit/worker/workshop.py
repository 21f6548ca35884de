"""What the parts of one worker process share: the app, its backend, the settings, what is held, what was counted."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import defaultdict
from typing import Any

import attrs

from jobkit import heartbeats
from jobkit.app import JobKit
from jobkit.backend import Backend
from jobkit.decision import Case
from jobkit.enqueueing import ROOM_FOR_FAILURES
from jobkit.envelope import Envelope
from jobkit.handlers import Handler
from jobkit.heartbeats import TypeCounts, WorkerReport
from jobkit.records import Stored
from jobkit.retry import DEFAULT_POLICY
from jobkit.transport import Delivery
from jobkit.worker.runs import Held, Run
from jobkit.worker.settings import Settings, new_worker_id

log = logging.getLogger("jobkit.worker")

OUTCOME_LABELS = ("done", "retried", "dead", "snoozed", "discarded", "expired", "lost")


class Counts:
    """What this process has done, by job type. Safe for several threads."""

    def __init__(self) -> None:
        self._types: defaultdict[str, TypeCounts] = defaultdict(TypeCounts)
        self._lock = threading.Lock()
        self.settled = 0

    def add(self, job_type: str, label: str, duration: float | None) -> None:
        """One run that ended as *label* after *duration* seconds; None if it was not started."""
        with self._lock:
            self.settled += 1
            counts = self._types[job_type]
            if label in OUTCOME_LABELS:
                setattr(counts, label, getattr(counts, label) + 1)
            if duration is not None:
                counts.ran += 1
                counts.seconds += duration
                counts.longest = max(counts.longest, duration)

    def types(self) -> dict[str, TypeCounts]:
        """A copy."""
        with self._lock:
            return {
                name: TypeCounts(**{key: getattr(c, key) for key in c.__struct_fields__}) for name, c in self._types.items()
            }


class Workshop:
    """The common ground of one worker process."""

    def __init__(self, app: JobKit, settings: Settings, backend: Backend | None = None) -> None:
        app.load()
        self.app = app
        self.backend = backend or app.backend
        queues = settings.queues or tuple(dict.fromkeys(handler.options.queue for handler in app.handlers()))
        longest = self.backend.transport.capabilities.max_lease
        # A third, so that a lease can be kept, and custody taken, well before the broker takes the job back.
        self.settings = attrs.evolve(settings, queues=queues or ("default",), lease=min(settings.lease, longest / 3))
        self.id = new_worker_id()
        self.held = Held()
        self.counts = Counts()
        self.state: Any = None
        self.stopping = threading.Event()
        """Set when no more jobs shall be fetched."""
        self.leaving = threading.Event()
        """Set when nothing shall be retried any more."""
        self._started_at = None if backend is None else backend.now()

    def case(
        self, envelope: Envelope, delivery: Delivery | None, stored: Stored | None, handler: Handler[Any, Any, Any] | None
    ) -> Case:
        """The pure decision's input for a job in this worker's hands."""
        options = None if handler is None else handler.options
        return Case(
            envelope=envelope,
            delivery=delivery,
            stored=stored,
            policy=DEFAULT_POLICY if options is None else options.retry,
            track=options is not None and options.track,
            result_ttl=0.0 if options is None else options.result_ttl,
            unknown_type_for=self.app.unknown_type_for,
            worker=self.id,
            now=self.backend.now(),
            capabilities=self.backend.transport.capabilities,
            largest_result=self.backend.largest_body - ROOM_FOR_FAILURES,
        )

    def report(self) -> WorkerReport:
        """What this process says of itself."""
        now = self.backend.now()
        self._started_at = self._started_at or now
        held = self.held.all()
        running = sum(1 for run in held if run.started_at is not None)
        return WorkerReport(
            id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self.settings.queues),
            concurrency=self.settings.concurrency,
            started_at=self._started_at,
            reported_at=now,
            running=running,
            waiting=len(held) - running,
            types=self.counts.types(),
        )

    def publish(self) -> None:
        """Write the report to the store."""
        self.backend.store.put([heartbeats.write(self.report())])

    def say_goodbye(self) -> None:
        """Leave a last report, which soon expires: the counters of a burst are worth a look afterwards."""
        self.publish()

    def may_start(self, run: Run) -> bool:
        """Whether *run* may start now: its lease must not have ended while the process was frozen or busy."""
        return not run.lost.is_set() and run.lease_until > self.backend.clock.steady()
