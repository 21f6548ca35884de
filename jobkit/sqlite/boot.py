"""
The clock that rows are dated by, and what a restart of the host does to it.

Leases and delays must not follow the wall clock, which jumps. The steady clock is the same in all processes of a host, but
starts anew with every boot. So the file remembers in which boot its instants were written, with a pair of readings of both
clocks that is renewed each minute. The first process that opens the file after another boot takes the time that has
passed since that pair from the wall clock, moves all instants over, and ends all loans: nobody who held one is left.

So all processes that share a file must see the same boot: one kernel, and no container with a time namespace of its own.
"""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path

import attrs

from jobkit.clock import SYSTEM_CLOCK, Clock
from jobkit.sqlite.sql import prefix

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MARK_EVERY = 60.0


@functools.cache
def boot_id() -> str:
    """Names this boot of the host; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@attrs.frozen
class RowClock:
    """Dates rows. Without a boot id nobody could tell one boot's readings from another's: there it is the wall clock."""

    clock: Clock = SYSTEM_CLOCK
    boot: str = attrs.field(factory=boot_id)

    def now(self) -> float:
        return self.clock.steady() if self.boot else self.wall()

    def wall(self) -> float:
        return self.clock.now().timestamp()


def mark(connection: sqlite3.Connection, namespace: str, clock: RowClock) -> None:
    """Renew the pair of readings. Runs in a write transaction."""
    connection.execute(
        f"UPDATE {prefix(namespace)}_meta SET steady = ?, wall = ? WHERE boot = ?", (clock.now(), clock.wall(), clock.boot)
    )


def rebase(connection: sqlite3.Connection, namespace: str, clock: RowClock) -> None:
    """Move all instants into this boot, unless it is done. Runs in a write transaction."""
    ns, now = prefix(namespace), clock.now()
    boot, steady, wall = connection.execute(f"SELECT boot, steady, wall FROM {ns}_meta").fetchone()
    if boot == clock.boot:
        return
    # A wall clock that was set back says nothing about the time that passed: then none has, and no job starts early.
    shift = now - steady - max(0.0, clock.wall() - wall)
    connection.execute(f"UPDATE {ns}_job SET wake = wake + ?", (shift,))
    connection.execute(f"UPDATE {ns}_job SET state = 0, token = NULL, wake = ? WHERE state = 2", (now,))
    connection.execute(f"UPDATE {ns}_record SET expires = expires + ? WHERE expires IS NOT NULL", (shift,))
    connection.execute(f"UPDATE {ns}_meta SET boot = ?, steady = ?, wall = ?", (clock.boot, now, clock.wall()))
