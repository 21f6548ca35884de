"""The broker's queues: their names, their arguments, and how they are looked at and made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from amqp import spec
from amqp.exceptions import AccessRefused, NotFound

from jobkit.errors import JobKitError, SetupRequired
from jobkit_rabbitmq.channel import Channel, Reply
from jobkit_rabbitmq.failures import words
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.wire import Wire

LAYOUT = 1
"""The version of what follows. Arguments can't be changed once a queue is there, so another version has other names."""

DELIVERY_LIMIT = 1000
"""
How often a message may come back before it is put aside: far more often than the core would let it. It has to be said:
left out, it means 20 from RabbitMQ 4.0 on, and the message is dropped then; -1 means "never" there, and "at once" on 3.10.
"""

NEVER = 2**31 - 1


class Names:
    """The names of one namespace's queues. The core's queue names hold no dot, so that none can look like ours."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}."
        self.landing = f"{namespace}..landing"
        self.catalogue = f"{namespace}..catalogue"

    def of(self, queue: str) -> str:
        return self._prefix + queue

    def arguments(self, name: str) -> dict[str, Any]:
        """What the broker's queue *name* is declared with."""
        arguments: dict[str, Any] = {"x-queue-type": "quorum"}
        if name in (self.landing, self.catalogue):
            return arguments | {"x-delivery-limit": NEVER}
        return arguments | {
            "x-delivery-limit": DELIVERY_LIMIT,
            # What has come back too often goes to the landing queue, and is kept here until it is confirmed there.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.landing,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


class Scout:
    """
    A session that looks at queues, makes and empties them: on a channel of its own, since asking about a missing queue
    closes the channel, and with it would go all that is on loan there.
    """

    def __init__(self, wire: Wire, target: Target) -> None:
        self._wire = wire
        self._target = target
        self._names = Names(target.options.namespace)
        self._scouting = Channel(wire.connection)

    def look(self, outcome: Future[list[int | None]], names: Sequence[str]) -> None:
        """How many messages are ready in each of the broker's queues *names*; None where there is no such queue."""
        self._look_on(names, [], outcome)

    def make(self, outcome: Future[tuple[Any, ...]], name: str) -> None:
        """Make a queue, or see that it is there and as it should be."""
        reply = self._open_scouting().declare(name, self._names.arguments(name))

        def explained(error: BaseException) -> BaseException:
            if isinstance(error, AccessRefused):
                why = f"{self._target.masked}: queue {name!r} is missing, and making it is refused ({words(error)})"
                return SetupRequired(f"{why}; run as a user who may: jobkit setup --url '{self._target.masked}'")
            return error

        pass_on(reply, outcome, explained)

    def purge(self, outcome: Future[tuple[Any, ...]], name: str) -> None:
        """Remove what is ready; how much it was."""
        pass_on(self._open_scouting().request(spec.Queue.Purge, "Bsb", (0, name, False)), outcome)

    def delete(self, outcome: Future[tuple[Any, ...]], name: str) -> None:
        """Remove a queue with all that is in it; none is as good as one."""
        pass_on(self._open_scouting().request(spec.Queue.Delete, "Bsbbb", (0, name, False, False, False)), outcome)

    def peek(self, outcome: Future[tuple[Any, ...]], name: str) -> None:
        """Take one message, last in what comes, and give it back with the connection; or get one thing, which is none."""
        pass_on(self._open_scouting().request(spec.Basic.Get, "Bsb", (0, name, False)), outcome)

    def remove(self, outcome: Future[tuple[Any, ...]], tag: int) -> None:
        """Remove the message that `peek` got under the number *tag*."""
        channel = self._open_scouting()
        channel.send_method(spec.Basic.Ack, "Lb", (tag, False))
        pass_on(channel.marker(), outcome)

    def broken(self, error: JobKitError) -> None:
        self._scouting.fail(error)

    def _open_scouting(self) -> Channel:
        if self._scouting.failure is not None:
            self._scouting = Channel(self._wire.connection)
        return self._scouting

    def _look_on(self, names: Sequence[str], found: list[int | None], outcome: Future[list[int | None]]) -> None:
        if not names:
            outcome.set_result(found)
            return
        channel = self._open_scouting()
        replies = [channel.declare(name) for name in names]

        def read(_last: Reply) -> None:
            for number, reply in enumerate(replies):
                error = reply.exception()
                if error is None:
                    found.append(reply.result()[1])
                elif isinstance(error, NotFound):
                    # The later questions were not heard: the first one without an answer closed the channel.
                    found.append(None)
                    return self._look_on(names[number + 1 :], found, outcome)
                else:
                    return outcome.set_exception(error)
            return outcome.set_result(found)

        replies[-1].add_done_callback(read)


def pass_on(
    reply: Reply,
    outcome: Future[tuple[Any, ...]],
    explained: Callable[[BaseException], BaseException] = lambda error: error,
) -> None:
    """Let *outcome* end as *reply* does."""

    def copy(ended: Reply) -> None:
        error = ended.exception()
        if error is None:
            outcome.set_result(ended.result())
        else:
            outcome.set_exception(explained(error))

    reply.add_done_callback(copy)
