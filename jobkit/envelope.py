"""
The job as it travels: one frozen value, JSON on the wire, versioned, so that another language can enqueue.

`envelope.schema.json` beside this file is the published schema of the wire format; a test keeps the two equal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jobkit.durations import LONGEST
from jobkit.queues import Priority, physical
from jobkit.transport import Message

WIRE_VERSION = 1

NO_ARGS = msgspec.Raw(b"{}")

ID = r"[A-Za-z0-9_:-]{1,128}"
QUEUE = r"(?!.*--)[A-Za-z0-9_-]{1,64}"

# What a stranger writes into an envelope must not hurt the worker later on, where an id becomes a record's name, a queue
# a broker's, and an instant is compared with another one: so `codec.decode` refuses it. The two patterns are only
# published here and checked there, since checking them within the decoder costs several times as much.
Instant = Annotated[datetime, Meta(tz=True)]
JobId = Annotated[str, Meta(extra_json_schema={"pattern": f"^{ID}$"})]
Queue = Annotated[str, Meta(extra_json_schema={"pattern": f"^{QUEUE}$"})]
Type = Annotated[str, Meta(min_length=1, max_length=200)]
Args = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST)]


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One attempt that failed.

    Attributes:
        at: When it failed.
        attempt: From 1.
        error: The exception's class as text, such as ``shop.errors.CardRefused``. It is never rebuilt from it.
        message: The exception's own text, cut to fit.
        traceback: As text, cut to fit.
        worker: Which worker it failed in.
    """

    at: Instant
    attempt: int
    error: str
    message: str = ""
    traceback: str = ""
    worker: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A job that follows once the one before it has succeeded.

    Attributes:
        id: The id that its job will have.
        type: The handler's registered name.
        queue: Where its job will wait, as users name it.
        args: The handler's arguments by name, without the one that `result_as` names.
        type_version: The version of the arguments.
        priority: Which of the queue's jobs come first.
        headers: Text to carry along.
        result_as: The parameter that takes the result of the job before; None if it takes none.
        delay: Seconds between the end of the job before and its own start.
        expires: Seconds after the end of the job before; not started by then, it ends as expired.
        tracked: There will be a record of it in the store.
    """

    id: JobId
    type: Type
    queue: Queue
    args: Args
    type_version: int = 1
    priority: Priority = "normal"
    headers: dict[str, str] = {}
    result_as: str | None = None
    delay: Seconds = 0.0
    expires: Seconds | None = None
    tracked: bool = False


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One job on its way. Instants are aware UTC.

    A msgspec struct and not an attrs class, because it is built and decoded once for every job: decoding straight into
    attrs costs twice as much.

    Attributes:
        v: The wire format's version.
        id: Unique for ever, and the same on every backend that the job moves to.
        type: The handler's registered name; never an import path.
        queue: Where it waits, as users name it; the priority decides which of the broker's queues that is.
        args: The handler's arguments by name, encoded; not looked at before the handler is known.
        enqueued_at: When it was first enqueued.
        type_version: The version of the arguments.
        headers: Text to carry along, such as the trace context.
        priority: Which of the queue's jobs come first.
        due: When it was meant to start, where it was delayed.
        expires_at: Not started by then, it ends as expired.
        spent: Attempts used up: failures, and marked starts that never ended.
        failures: The first and the latest ones, cut to fit.
        key: The unique key. Reserved.
        successors: The rest of the chain, in order.
        parent: The job before it in its chain.
        root: The first job of its chain.
        tracked: There is a record of it in the store, to be asked before it runs.
        generation: Which copy this is. A copy of an older generation than the record's is void.
        unknown_since: When a worker first met it and did not know its type.
        key_id: Which key signed it. Reserved.
        signature: Over the other fields. Reserved.
    """

    v: int
    id: JobId
    type: Type
    queue: Queue
    args: Args
    enqueued_at: Instant
    type_version: int = 1
    headers: dict[str, str] = {}
    priority: Priority = "normal"
    due: Instant | None = None
    expires_at: Instant | None = None
    spent: Count = 0
    failures: tuple[Failure, ...] = ()
    key: str | None = None
    successors: tuple[Step, ...] = ()
    parent: JobId | None = None
    root: JobId | None = None
    tracked: bool = False
    generation: Count = 0
    unknown_since: Instant | None = None
    key_id: str | None = None
    signature: str | None = None

    @property
    def message_id(self) -> str:
        """
        The id under which a broker holds it. It names the generation too: a broker that knows the id of an old copy must
        not take the new one for a repeated send.
        """
        return f"{self.id}.{self.generation}" if self.generation else self.id

    @property
    def physical_queue(self) -> str:
        """The broker's queue that it goes to."""
        return physical(self.queue, self.priority)

    def message(self, body: bytes, delay: float = 0.0) -> Message:
        """The broker's message for it, with *body* its encoded form."""
        return Message(id=self.message_id, queue=self.physical_queue, body=body, delay=delay)

    def replace(self, **changes: Any) -> Envelope:
        """A copy with *changes*."""
        return msgspec.structs.replace(self, **changes)


def identity(message_id: str) -> tuple[str, int]:
    """The job and the generation that a broker's message id names; see `Envelope.message_id`."""
    job_id, _, generation = message_id.partition(".")
    if generation.isdecimal() and generation.isascii() and len(generation) < 10:
        return job_id, int(generation)
    return message_id, 0


def successor(envelope: Envelope, result: bytes | None, now: datetime) -> tuple[Envelope, float] | None:
    """The job that follows a success of *envelope*, and its delay; None at the end of the chain. *result* is JSON."""
    if not envelope.successors:
        return None
    step, *rest = envelope.successors
    following = Envelope(
        v=WIRE_VERSION,
        id=step.id,
        type=step.type,
        type_version=step.type_version,
        queue=step.queue,
        args=_with_result(step, result),
        headers=step.headers,
        priority=step.priority,
        enqueued_at=now,
        expires_at=None if step.expires is None else now + timedelta(seconds=step.expires),
        successors=tuple(rest),
        parent=envelope.id,
        root=envelope.root or envelope.id,
        tracked=step.tracked,
    )
    return following, step.delay


def _with_result(step: Step, result: bytes | None) -> msgspec.Raw:
    if step.result_as is None:
        return step.args
    args: dict[str, msgspec.Raw] = msgspec.json.decode(step.args, type=dict[str, msgspec.Raw])
    args[step.result_as] = msgspec.Raw(result if result is not None else b"null")
    return msgspec.Raw(msgspec.json.encode(args))
