"""What the entry points ``redis`` and ``rediss`` name."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.adapter import LINE, Change, Finding
from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.url import Url
from jobkit_redis.check import check
from jobkit_redis.options import Target
from jobkit_redis.setup import set_up, tear_down
from jobkit_redis.store import RedisStore
from jobkit_redis.transport import RedisTransport


class RedisAdapter:
    """
    Redis 6.2 and later, and Valkey, as a transport and a store.

    Args:
        clock: Tells how long this side believes in a loan and waits; for tests that hold the clock in their hand.
    """

    line = LINE

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    def transport(self, url: Url) -> RedisTransport:
        return RedisTransport(Target.of(url), self._clock)

    def store(self, url: Url) -> RedisStore:
        return RedisStore(Target.of(url))

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        """Queues need nothing made for them."""
        return set_up(Target.of(url))

    def teardown(self, url: Url) -> None:
        tear_down(Target.of(url))

    def check(self, url: Url) -> list[Finding]:
        return check(Target.of(url))


adapter = RedisAdapter()
