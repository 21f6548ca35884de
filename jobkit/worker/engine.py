"""
The engine: one process's worker, put together.

fetcher thread → buffer → slots (threads) → settler thread, with a heartbeat and a promoter beside them, and an event loop
for async handlers. Nothing here decides anything about a job: see `jobkit.decision`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from jobkit import decision, parking
from jobkit.errors import ConfigurationError, JobKitError, Unavailable
from jobkit.outcome import HandedBack, Outcome
from jobkit.worker.admission import Admission
from jobkit.worker.execution import Execution
from jobkit.worker.fetching import Fetcher
from jobkit.worker.heartbeat import Heartbeat, give_back
from jobkit.worker.isolation import Isolation
from jobkit.worker.lifespans import entered
from jobkit.worker.loops import running_loop
from jobkit.worker.patience import Patience
from jobkit.worker.relay import Relay
from jobkit.worker.runs import Buffer, Run
from jobkit.worker.settling import Settler, decided
from jobkit.worker.workshop import Workshop, log

PROMOTER_PAUSE = 1.0
"""Seconds between two looks at the parked jobs, unless one is due earlier."""

SETTLE_TIME = 10.0
"""Seconds after the grace time in which the last decisions are carried out."""


class Engine:
    """
    One worker in this process. `run` returns when it was stopped, or when a burst is over.

    Args:
        isolation: Runs isolated handlers; None runs them like the others.
    """

    def __init__(self, workshop: Workshop, isolation: Isolation | None = None) -> None:
        self._workshop = workshop
        self._buffer = Buffer()
        self._settler = Settler(workshop)
        self._heartbeat = Heartbeat(workshop, self._buffer, self._settler)
        self._fetcher = Fetcher(workshop, Admission(workshop), self._buffer, self._settler)
        self._leadership = parking.Leadership(workshop.backend, parking.LEADER, workshop.id, parking.LEADER_LEASE)
        self._isolation = isolation
        self._relay = _relay(workshop)
        self._finished = threading.Event()

    def stop(self) -> None:
        """Begin to end: no more fetching; running jobs get the grace time. Safe in a signal handler's thread."""
        self._workshop.stopping.set()

    def run(self) -> None:
        """
        Raises:
            SetupRequired: The schema is missing; nothing was run.
        """
        with running_loop() as loop, entered(self._workshop.app.lifespan, loop) as state:
            self._workshop.state = state
            self._run_slots(Execution(self._workshop, loop, self._isolation))

    def _run_slots(self, execution: Execution) -> None:
        settling = self._start(self._settler.run, "settler")
        beating = self._start(self._beat, "heartbeat")
        promoting = self._start(self._promote, "promoter")
        relaying = self._start(self._relay_outbox, "relay")
        for number in range(self._workshop.settings.concurrency):
            self._start(lambda: self._slot(execution), f"slot-{number}")
        try:
            self._fetcher.run()
        finally:
            self._workshop.stopping.set()
            self._drain()
            self._settler.close()
            settling.join(SETTLE_TIME)
            self._workshop.leaving.set()
            self._finished.set()
            for thread in (beating, promoting, relaying, settling):
                thread.join(SETTLE_TIME)
            execution.close()
            self._leave()
        if self._fetcher.error is not None:
            raise self._fetcher.error

    def _slot(self, execution: Execution) -> None:
        while (run := self._buffer.get()) is not None:
            outcome: Outcome | None
            try:
                outcome = execution.execute(run)
            except Unavailable as error:
                # Its start could not be marked, so it has not run: wait with it, and let somebody else try.
                Patience(f"starting job {run.envelope.id}").failed(error, self._workshop.stopping)
                outcome = HandedBack()
            except BaseException as error:  # noqa: BLE001 - logged; one job must not end the slot
                log.exception("job %s: running it failed unexpectedly", run.envelope.id)
                outcome = decision.failed(error)
            self._end(run, outcome)

    def _end(self, run: Run, outcome: Outcome | None) -> None:
        workshop = self._workshop
        with run.lock:
            if run.ended:
                return
            run.ended = True
            run.ended_at = workshop.backend.clock.steady()
        if outcome is None:
            workshop.held.remove([run])
        else:
            self._settler.add(run, decided(workshop, run, outcome))

    def _drain(self) -> None:
        """What has not started goes back at once; what runs gets the grace time, then is stopped and goes back too."""
        for run in self._buffer.close():
            give_back(self._workshop, self._settler, run)
        if self._workshop.held.wait_empty(self._workshop.settings.grace):
            return
        for run in self._workshop.held.all():
            if not run.ended:
                log.warning("job %s did not end within the grace time and is handed back", run.envelope.id)
                self._end(run, HandedBack())
                run.lose()
        self._workshop.held.wait_empty(SETTLE_TIME)

    def _beat(self) -> None:
        while not self._finished.wait(self._heartbeat.tick):
            self._heartbeat.beat()

    def _promote(self) -> None:
        patience = Patience("sending parked jobs")
        pause = PROMOTER_PAUSE
        while not self._workshop.stopping.wait(pause):
            pause = PROMOTER_PAUSE
            try:
                if self._leadership.held():
                    due = parking.promote(self._workshop.backend).next
                    pause = PROMOTER_PAUSE if due is None else min(PROMOTER_PAUSE, max(0.01, due))
                patience.succeeded()
            except Exception as error:  # noqa: BLE001 - logged; without this thread no parked job would ever be sent
                patience.failed(error, self._workshop.stopping)

    def _relay_outbox(self) -> None:
        if self._relay is not None:
            self._relay.run(self._workshop.stopping)

    def _leave(self) -> None:
        try:
            self._leadership.release()
            self._workshop.say_goodbye()
        except (JobKitError, OSError) as error:
            log.warning("leaving: %s", error)

    @staticmethod
    def _start(target: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"jobkit-{name}", daemon=True)
        thread.start()
        return thread


def _relay(workshop: Workshop) -> Relay | None:
    """
    Raises:
        ConfigurationError: A relay is asked for, and no outbox is named.
    """
    if not workshop.settings.relay:
        return None
    outbox = workshop.app.outbox
    if outbox is None:
        raise ConfigurationError("a relay needs an outbox: set JOBKIT_OUTBOX_URL, or give JobKit(outbox=...)")
    return Relay(outbox, workshop.backend, workshop.id)
