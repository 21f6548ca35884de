"""Background jobs for Python: write handlers once, pick the backend by URL."""

from jobkit.app import JobKit
from jobkit.errors import (
    Closed,
    ConfigurationError,
    InvalidArguments,
    InvalidResult,
    JobFailed,
    JobKitError,
    JobTimeout,
    NotFound,
    NotTracked,
    Rejected,
    SetupRequired,
    TooLarge,
    Unavailable,
    Uncertain,
    Unsupported,
    WaitTimeout,
    WorkerCrashed,
)
from jobkit.handlers import Bound, Handler, Handlers, New
from jobkit.job import Job, current_job
from jobkit.middleware import Both
from jobkit.outcome import Dead, Discard, Retry, Snooze
from jobkit.retry import FailedAttempt, Policy, RetryPolicy
from jobkit.status import Enqueued, JobStatus

__version__ = "0.1.0"

__all__ = [
    "Both",
    "Bound",
    "Closed",
    "ConfigurationError",
    "Dead",
    "Discard",
    "Enqueued",
    "FailedAttempt",
    "Handler",
    "Handlers",
    "InvalidArguments",
    "InvalidResult",
    "Job",
    "JobFailed",
    "JobKit",
    "JobKitError",
    "JobStatus",
    "JobTimeout",
    "New",
    "NotFound",
    "NotTracked",
    "Policy",
    "Rejected",
    "Retry",
    "RetryPolicy",
    "SetupRequired",
    "Snooze",
    "TooLarge",
    "Unavailable",
    "Uncertain",
    "Unsupported",
    "WaitTimeout",
    "WorkerCrashed",
    "current_job",
]
