"""Everything that jobkit raises, under one root, so that callers can catch by meaning and adapters can translate into it."""

from __future__ import annotations


class JobKitError(Exception):
    """The root of every error that jobkit raises on purpose."""


class ConfigurationError(JobKitError):
    """A URL, option, name or handler declaration is wrong. The message names what was wrong and what is allowed."""


class InvalidArguments(JobKitError, TypeError):
    """An enqueue's arguments do not fit the handler's signature; nothing was sent. The message names the argument."""


class InvalidResult(JobKitError, TypeError):
    """A job's result is not of the type that its handler is annotated to return. The job itself has ended."""


class Unavailable(JobKitError):
    """The broker or store was not reached, and nothing was changed. The next call tries to connect anew."""


class SetupRequired(JobKitError):
    """The schema, tables or queues are missing or older than this version needs. The message names the command to run."""


class Unsupported(JobKitError):
    """The backend does not offer this. Raised before any I/O."""


class TooLarge(JobKitError):
    """A body or value exceeds the declared limit (bytes). Raised before any I/O."""


class Closed(JobKitError):
    """A transport or store was used after `close`."""


class Rejected(JobKitError):
    """The broker refused a job for good and kept no trace of it."""


class Uncertain(JobKitError):
    """
    The reply to a write was lost and repeating it did not help: it may or may not have happened.

    Enqueueing again with the same id is safe while that job lives.

    Attributes:
        ids: The jobs concerned.
    """

    def __init__(self, message: str, ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.ids = ids


class NotTracked(JobKitError):
    """The job has no record to ask: its handler does not say ``track=True``."""


class NotFound(JobKitError):
    """No job, dead letter, handler or queue goes by this name; its retention may have passed."""


class WaitTimeout(JobKitError, TimeoutError):
    """`Enqueued.wait` gave up; the job itself goes on."""


class JobFailed(JobKitError):
    """
    The job that was waited for ended without a result.

    Attributes:
        state: How it ended, such as ``dead`` or ``discarded``.
    """

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class JobTimeout(JobKitError, TimeoutError):
    """A run exceeded its handler's time limit. What a retry policy's rules see."""


class WorkerCrashed(JobKitError):
    """The process that ran a job ended without a word. What a retry policy's rules see."""
