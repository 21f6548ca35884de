"""What the entry points ``amqp``, ``amqps`` and ``rabbitmq`` name."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.adapter import LINE, Change, Finding
from jobkit.store import Store
from jobkit.url import Url
from jobkit_rabbitmq.check import check
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.setup import set_up, tear_down
from jobkit_rabbitmq.transport import RabbitmqTransport


class RabbitmqAdapter:
    """RabbitMQ 3.10 and later as a transport. It has no store: the core asks for one by URL."""

    line = LINE

    def transport(self, url: Url) -> RabbitmqTransport:
        return RabbitmqTransport(Target.of(url))

    def store(self, url: Url) -> Store | None:
        Target.of(url)
        return None

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        return set_up(Target.of(url), queues)

    def teardown(self, url: Url) -> None:
        tear_down(Target.of(url))

    def check(self, url: Url) -> list[Finding]:
        return check(Target.of(url))


adapter = RabbitmqAdapter()
