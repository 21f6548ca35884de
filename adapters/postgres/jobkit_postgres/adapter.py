"""What the entry points ``postgresql`` and ``postgres`` name."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.adapter import LINE, Change, Finding
from jobkit.url import Url
from jobkit_postgres.check import check
from jobkit_postgres.options import Target
from jobkit_postgres.setup import set_up, tear_down
from jobkit_postgres.store import PostgresStore
from jobkit_postgres.transport import PostgresTransport


class PostgresAdapter:
    """PostgreSQL 13 and later as a transport and a store, both in one schema."""

    line = LINE

    def transport(self, url: Url) -> PostgresTransport:
        return PostgresTransport(Target.of(url))

    def store(self, url: Url) -> PostgresStore:
        return PostgresStore(Target.of(url))

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        """Queues need nothing made for them."""
        return set_up(Target.of(url))

    def teardown(self, url: Url) -> None:
        tear_down(Target.of(url))

    def check(self, url: Url) -> list[Finding]:
        return check(Target.of(url))


adapter = PostgresAdapter()
