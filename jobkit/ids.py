"""Job ids: UUIDs of version 7, so that ids made later sort later, and any client may make its own."""

from __future__ import annotations

import os
import time


def new_id() -> str:
    """
    A new time-ordered id, 36 characters.

    UUID version 7 of RFC 9562, section 5.7: 48 bits of Unix milliseconds, then 74 random bits. Only uniqueness rests on
    it; nothing is decided by the wall clock inside.
    """
    value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
