"""Transactions on the file: set up on first use, retried while another process writes, errors translated in one place."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from jobkit.adapter import Change
from jobkit.errors import ConfigurationError, SetupRequired, Unavailable
from jobkit.sqlite import boot, schema
from jobkit.sqlite.boot import RowClock
from jobkit.sqlite.files import check_place
from jobkit.sqlite.options import Options
from jobkit.sqlite.pool import Pool

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

OLDEST = (3, 35, 0)
"""RETURNING came with it."""

BUSY_RETRY = 0.001
"""Seconds between attempts to get the write lock. SQLite's own back-off grows, and starves who has waited longest."""


class Database:
    """
    One namespace in one file. Its methods may be called from several threads at once, and before and after a fork.

    Args:
        path: Absolute.
    """

    def __init__(self, path: str, options: Options, clock: RowClock) -> None:
        self.path = path
        self.namespace = options.namespace
        self.clock = clock
        self._options = options
        self._changes: list[Change] = []
        self._marked = clock.now()
        self._pool = Pool(path, self._connect)

    def read(self, work: Work[T]) -> T:
        """Run *work*, which changes nothing, and return what it returns. It may be run again, as in `write`."""
        return self._patiently(work)

    def write(self, work: Work[T]) -> T:
        """
        Run *work* in a transaction that holds the write lock from the start, and return what it returns once the
        changes are on the disk. *work* is run again if it met another writer after all, so it touches nothing else.

        Raises:
            Unavailable: Nothing was changed.
            Closed: After `close`.
        """

        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                self._mark(connection)
                return work(connection)

        with self._pool.turn(self._options.timeout):
            return self._patiently(whole)

    def setup(self) -> list[Change]:
        """Open the file, which makes what is missing. Returns what this object has made."""
        self.read(lambda connection: None)
        return self._changes

    def teardown(self) -> None:
        self.write(lambda connection: schema.drop(connection, self.namespace))
        self._pool.forget()

    @property
    def closed(self) -> bool:
        return self._pool.closed

    def close(self) -> None:
        self._pool.close()

    def _patiently(self, work: Work[T]) -> T:
        give_up = time.monotonic() + self._options.timeout
        with self._translated():
            while True:
                try:
                    with self._pool.connection() as connection:
                        return work(connection)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() >= give_up:
                        raise
                time.sleep(BUSY_RETRY)

    def _mark(self, connection: sqlite3.Connection) -> None:
        now = self.clock.now()
        if now - self._marked > boot.MARK_EVERY:
            boot.mark(connection, self.namespace, self.clock)
            self._marked = now

    def _connect(self) -> sqlite3.Connection:
        check_library()
        check_place(self.path)
        # timeout 0: the waiting is done in `_patiently`, at even intervals and without holding anything.
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._configure(connection)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            (mode,) = connection.execute("PRAGMA journal_mode = wal").fetchone()
            if mode != "wal":
                raise ConfigurationError(f"{self.path} can not be switched to SQLite's WAL mode; it stays in {mode} mode")
        connection.execute(f"PRAGMA synchronous = {self._options.synchronous}")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # At every new connection: the file may be another one by now, even if it has the same inode.
        check_encoding(connection, self.path)
        found = schema.look(connection, self.namespace)
        schema.refuse_newer(found, self.path)
        if found != schema.Found(schema.VERSION, self.clock.boot):
            with transaction(connection):
                changes = schema.prepare(connection, self.namespace, self.clock)
            self._changes += changes

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError):
            raise  # our mistakes, not the file's
        except sqlite3.DatabaseError as error:
            if _code(error) == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError(f"{self.path} is no SQLite database") from error
            if str(error).startswith("no such table"):
                self._pool.forget()
                raise SetupRequired(
                    f"the tables {self.namespace}_* in {self.path} were removed; run `jobkit setup`"
                ) from error
            raise Unavailable(f"{self.path}: {error}") from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """
    A write transaction. IMMEDIATE, since one that begins by reading is refused at its first write, whatever the timeout,
    once somebody else has written in between.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def check_library() -> None:
    """
    Raises:
        ConfigurationError: This Python's SQLite can not run our statements.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old: jobkit needs {OLDEST[0]}.{OLDEST[1]} or later"
        )


def check_encoding(connection: sqlite3.Connection, path: str) -> None:
    """
    Raises:
        ConfigurationError: Names would be ordered, and bodies cast, by other bytes than those of UTF-8.
    """
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise ConfigurationError(f"{path} keeps text as {encoding}; jobkit needs a file that keeps it as UTF-8")


def _is_busy(error: sqlite3.DatabaseError) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.DatabaseError) -> int:
    """The primary code; what stands above its byte says why (a snapshot, a recovery). 0 where Python itself complains."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
