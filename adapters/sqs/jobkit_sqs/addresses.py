"""Where queues are: SQS addresses them by URL, which has to be asked for once."""

from __future__ import annotations

from collections.abc import Iterable

from jobkit_sqs.failures import Missing, missing
from jobkit_sqs.names import aws_name
from jobkit_sqs.options import Target
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.queue_setup import ensure_queue
from jobkit_sqs.service import Service


class Addresses:
    """The URLs of the queues that one handle has met. Safe for several threads: losing a race costs a request."""

    def __init__(self, target: Target, service: Service, parallel: Parallel) -> None:
        self._target = target
        self._service = service
        self._parallel = parallel
        self._urls: dict[str, str] = {}

    def find(self, queues: Iterable[str]) -> dict[str, str]:
        """
        The URLs of *queues*.

        Raises:
            SetupRequired: One does not exist.
        """
        unknown = [queue for queue in dict.fromkeys(queues) if queue not in self._urls]
        found = self._parallel.all(self._ask, unknown)
        self._urls.update(zip(unknown, found, strict=True))
        return self._urls

    def drop(self, queue: str) -> None:
        """It has been found missing: ask anew next time."""
        self._urls.pop(queue, None)

    def _ask(self, queue: str) -> str:
        name = aws_name(self._target.stem, queue)
        try:
            return str(self._service.call("get_queue_url", QueueName=name)["QueueUrl"])
        except Missing as error:
            if not self._target.options.auto_create:
                raise missing(self._target, f"there is no queue {queue!r} ({name})") from error
        ensure_queue(self._service, queue)
        return str(self._service.call("get_queue_url", QueueName=name)["QueueUrl"])
