"""What a worker does while a broker or store cannot be reached: it waits a little longer each time, and says so once."""

from __future__ import annotations

import random
import threading

from jobkit.errors import JobKitError
from jobkit.worker.workshop import log

FIRST = 0.1
LONGEST = 5.0


def unexpected(error: BaseException) -> BaseException | None:
    """*error*, if a log should show where it comes from: it is neither an outage nor something that jobkit says itself."""
    return None if isinstance(error, JobKitError | OSError) else error


class Patience:
    """The waiting of one thread, between failures of one thing. Seconds; jittered, so that workers do not return in step."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pause = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._pause > 0

    def failed(self, error: Exception, stop: threading.Event) -> None:
        """After a failure: say so if it is the first one, and wait; *stop* ends the wait."""
        if not self._pause:
            log.warning("%s: %s; trying again until it works", self._what, error, exc_info=unexpected(error))
        self._pause = min(LONGEST, max(FIRST, self._pause * 2))
        stop.wait(self._pause * (0.5 + random.random() / 2))

    def succeeded(self) -> None:
        """After a success: say so if it failed before."""
        if self._pause:
            log.warning("%s works again", self._what)
            self._pause = 0.0
