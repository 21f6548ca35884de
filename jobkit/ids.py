"""Job ids: UUIDs of version 7, so that ids made later sort later, and any client may make its own."""

from __future__ import annotations

import os
import time

_latest = 0


def new_id() -> str:
    """
    A new id, 36 characters; within one process it sorts after every earlier one.

    UUID version 7 of RFC 9562, section 5.7, with method 3 of section 6.2: 48 bits of Unix milliseconds, 12 bits of their
    fractions, carried on where the clock stands or goes back, then 62 random bits. Only uniqueness rests on it, and that
    on the random bits alone; nothing is decided by the wall clock inside.
    """
    global _latest  # without a lock: threads that meet here may get the same tick, and other random bits
    tick = max(_tick(), _latest + 1)
    _latest = tick
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0x2 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _tick() -> int:
    """The wall clock in 4096ths of a millisecond."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    return milliseconds << 12 | (nanoseconds << 12) // 1_000_000
