"""Counting what queues hold: SQS's approximate figures, which lag by up to a minute."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.transport import Depth
from jobkit_sqs.addresses import Addresses
from jobkit_sqs.failures import Missing
from jobkit_sqs.names import CLOCK, is_cut, name_in_url
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.queue_setup import QUEUE_TAG
from jobkit_sqs.service import Service

_FIGURES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class Counting:
    """Counts for one handle. Safe for several threads."""

    def __init__(self, service: Service, addresses: Addresses, parallel: Parallel) -> None:
        self._service = service
        self._addresses = addresses
        self._parallel = parallel

    def depth(self, queues: Sequence[str]) -> list[Depth]:
        """See `jobkit.transport.Transport.depth`."""
        names = queues or list_queues(self._service)
        urls = self._addresses.find(names)
        return self._parallel.all(lambda queue: self._count(queue, urls[queue]), names)

    def _count(self, queue: str, url: str) -> Depth:
        try:
            found = self._service.call("get_queue_attributes", QueueUrl=url, AttributeNames=list(_FIGURES))
        except Missing:
            self._addresses.drop(queue)
            raise
        ready, delayed, leased = (int(found["Attributes"][figure]) for figure in _FIGURES)
        # Only CloudWatch knows the age of the oldest.
        return Depth(queue=queue, ready=ready, delayed=delayed, leased=leased, oldest_age=None)


def list_queues(service: Service) -> list[str]:
    """The namespace's queues, by jobkit's names."""
    names = []
    for url in queue_urls(service):
        name = name_in_url(url)
        queue = name.removeprefix(service.target.stem)
        if is_cut(name):
            queue = service.call("list_queue_tags", QueueUrl=url).get("Tags", {}).get(QUEUE_TAG, queue)
        names.append(queue)
    return sorted(name for name in names if name != CLOCK)


def queue_urls(service: Service) -> list[str]:
    """All of the namespace's queues, the clock's included."""
    urls: list[str] = []
    page: dict[str, str] = {}
    while True:
        reply = service.call("list_queues", QueueNamePrefix=service.target.stem, MaxResults=1000, **page)
        urls += reply.get("QueueUrls", ())
        if not reply.get("NextToken"):
            return urls
        page = {"NextToken": reply["NextToken"]}
