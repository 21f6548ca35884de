"""Background jobs for Python: write handlers once, pick the backend by URL."""

from jobkit.app import JobKit
from jobkit.dead_letters import DeadLetter
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
from jobkit.handlers import Bound, Handler, New
from jobkit.heartbeats import TypeCounts, WorkerReport
from jobkit.job import Job, current_job
from jobkit.middleware import Both
from jobkit.outcome import Dead, Discard, Retry, Snooze
from jobkit.records import DeadEntry, Progress
from jobkit.registry import Handlers
from jobkit.retry import FailedAttempt, Policy, RetryPolicy
from jobkit.stats import QueueStats
from jobkit.status import Enqueued, JobStatus

__version__ = "0.1.0"

__all__ = [
    "Both",
    "Bound",
    "Closed",
    "ConfigurationError",
    "Dead",
    "DeadEntry",
    "DeadLetter",
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
    "Progress",
    "QueueStats",
    "Rejected",
    "Retry",
    "RetryPolicy",
    "SetupRequired",
    "Snooze",
    "TooLarge",
    "TypeCounts",
    "Unavailable",
    "Uncertain",
    "Unsupported",
    "WaitTimeout",
    "WorkerCrashed",
    "WorkerReport",
    "current_job",
]
