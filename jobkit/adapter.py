"""
The line's third file: how a backend joins. An entry point in the group ``jobkit.adapters`` names an `Adapter` by URL scheme.

Every adapter, ours and a stranger's, understands the URL option ``namespace``: two namespaces on one server share nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import attrs

from jobkit.store import Store
from jobkit.transport import LINE, Transport
from jobkit.url import Url

__all__ = ["LINE", "NAMESPACE", "Adapter", "Change", "Finding", "check_namespace"]

NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""What every backend can carry in the names of its schemas, tables, keys and queues."""


@attrs.frozen
class Change:
    """One thing that `Adapter.setup` created or migrated, in words for a person."""

    what: str


@attrs.frozen
class Finding:
    """
    One thing that `Adapter.check` saw.

    Attributes:
        level: ``ok``; ``warning``: works, but may surprise; ``error``: jobs would be lost, or nothing works.
        advice: What to do about it; empty for ``ok``.
    """

    level: Literal["ok", "warning", "error"]
    what: str
    advice: str = ""


class Adapter(Protocol):
    """One backend. Creating a transport or store does no I/O."""

    line: int
    """The version of the lines that it implements: `LINE`."""

    def transport(self, url: Url) -> Transport | None:
        """The transport that *url* names, or None if this backend is only a store."""

    def store(self, url: Url) -> Store | None:
        """The store that *url* names, or None if this backend has none of its own."""

    def setup(self, url: Url, queues: Sequence[str]) -> list[Change]:
        """
        Create or migrate schema, queues and tables. Idempotent, versioned, safe beside running workers.

        Returns what was changed; nothing if all was there.
        """

    def teardown(self, url: Url) -> None:
        """Remove all that `setup` made in this namespace, with everything in it. For tests, and for leaving."""

    def check(self, url: Url) -> list[Finding]:
        """Look at the server without changing it: versions, permissions, schema, and settings that would lose data."""


def check_namespace(_instance: Any, _attribute: attrs.Attribute[str], value: str) -> None:
    """An attrs validator for the option ``namespace``."""
    if not NAMESPACE.fullmatch(value):
        raise ValueError(f"namespace {value!r}: allowed is a-z, then up to 39 of a-z, 0-9 and '_'")
