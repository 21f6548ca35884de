"""What the entry point names: transport, store, setup and check for ``sqlite://``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from jobkit.adapter import LINE, Change, Finding
from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.sqlite import checks
from jobkit.sqlite.boot import RowClock
from jobkit.sqlite.database import Database
from jobkit.sqlite.doorbell import Doorbell
from jobkit.sqlite.options import Options, path_of
from jobkit.sqlite.store import SqliteStore
from jobkit.sqlite.transport import SqliteTransport
from jobkit.url import Url


class SqliteAdapter:
    """
    The embedded default. Its tables are made on first use, so `setup` is never needed, and never harmful.

    Args:
        clock: For tests that hold the clock in their hand.
    """

    line = LINE

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = RowClock(clock)

    def transport(self, url: Url) -> SqliteTransport:
        database = self._database(url)
        return SqliteTransport(database, Doorbell(database.path))

    def store(self, url: Url) -> SqliteStore:
        return SqliteStore(self._database(url))

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        database = self._database(url)
        try:
            return database.setup()
        finally:
            database.close()

    def teardown(self, url: Url) -> None:
        database = self._database(url)
        try:
            if os.path.exists(database.path):
                database.teardown()
        finally:
            database.close()

    def check(self, url: Url) -> list[Finding]:
        return checks.check(path_of(url), url.options(Options))

    def _database(self, url: Url) -> Database:
        return Database(path_of(url), url.options(Options), self._clock)


adapter = SqliteAdapter()
