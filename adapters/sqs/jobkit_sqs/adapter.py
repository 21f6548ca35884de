"""What the entry point ``sqs`` names."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.adapter import LINE, Change, Finding
from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.url import Url
from jobkit_sqs.check import check
from jobkit_sqs.options import Target
from jobkit_sqs.service import Wrap
from jobkit_sqs.setup import set_up, tear_down
from jobkit_sqs.store import DynamoStore
from jobkit_sqs.transport import SqsTransport


class SqsAdapter:
    """
    SQS standard queues as a transport, and a DynamoDB table as its store.

    Args:
        clock: For tests that hold the clock in their hand.
        wrap: For tests: puts something in the place of boto3's clients.
    """

    line = LINE

    def __init__(self, clock: Clock = SYSTEM_CLOCK, wrap: Wrap | None = None) -> None:
        self._clock = clock
        self._wrap = wrap

    def transport(self, url: Url) -> SqsTransport:
        return SqsTransport(Target.of(url), self._clock, self._wrap)

    def store(self, url: Url) -> DynamoStore | None:
        target = Target.of(url)
        return DynamoStore(target, self._clock, self._wrap) if target.options.records else None

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        """Makes *queues*, and the table unless the URL says ``records=false``."""
        return set_up(Target.of(url), queues)

    def teardown(self, url: Url) -> None:
        tear_down(Target.of(url))

    def check(self, url: Url) -> list[Finding]:
        return check(Target.of(url))


adapter = SqsAdapter()
