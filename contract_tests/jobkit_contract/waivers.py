"""Waivers: a clause that is known to fail, with a reason and the date on which the excuse ends."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Waiver:
    """
    Attributes:
        until: The last day on which it counts.
    """

    clause: str
    reason: str
    until: date

    def lapsed(self, today: date) -> bool:
        return today > self.until


def read_waivers(path: Path, clauses: Iterable[str]) -> tuple[Waiver, ...]:
    """
    The ``[[waiver]]`` tables of a TOML file, each with clause, reason and until (a date).

    Raises:
        ValueError: A clause is unknown, stands twice, or a part is missing: an excuse must be whole.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("waiver", [])
    waivers = tuple(_waiver(entry) for entry in entries)
    names = [waiver.clause for waiver in waivers]
    for name in names:
        if name not in set(clauses):
            raise ValueError(f"waiver for {name!r}: the contract has no such clause")
        if names.count(name) > 1:
            raise ValueError(f"two waivers for {name}")
    return waivers


def _waiver(entry: dict[str, Any]) -> Waiver:
    clause, reason, until = (entry.get(part) for part in ("clause", "reason", "until"))
    if not (isinstance(clause, str) and isinstance(reason, str) and reason.strip() and type(until) is date):
        raise ValueError(f"waiver {entry!r}: needs clause, reason and until (a date such as 2026-12-31)")
    return Waiver(clause, reason, until)
