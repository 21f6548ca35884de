"""Conditional writes as single statements, alike on our connections and on the caller's own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.sqlite.sql import statements
from jobkit.store import Expect, StoreCapabilities, Write, Written
from jobkit.transport import Answer

CAPABILITIES = StoreCapabilities(name="sqlite", durable=True, shared=True, transactional=True, max_value=64 * 1024 * 1024)


@attrs.frozen
class Operation:
    """
    One write: a statement with ``{json}`` where its parameter goes, and ``{body}`` where the value does.

    Attributes:
        version: What the record will have. Random, so that none recurs, whatever was deleted in between.
    """

    write: Write
    sql: str
    fields: Sequence[Any]
    version: str | None

    def json(self, text: str | None = None) -> str:
        """The parameter; *text* is the value, where that travels in it."""
        return json.dumps([[*self.fields[:4], text, *self.fields[4:]]], ensure_ascii=False)

    def read(self, texts: Sequence[str]) -> Written:
        """What the statement's rows say; see ``shared.sql``."""
        if self.version is not None:
            return Written(Answer.YES, self.version) if texts else Written(Answer.LOST)
        absent_will_do = not isinstance(self.write.expect, str)
        happened = texts[0] == "1" if texts else absent_will_do
        return Written(Answer.YES if happened else Answer.LOST)


def operation(write: Write, namespace: str, now: float) -> Operation:
    """*write*, to be carried out at the instant *now*."""
    expected = write.expect if isinstance(write.expect, str) else None
    version = None if write.value is None else secrets.token_hex(12)
    expires = None if write.ttl is None else now + write.ttl
    fields = (*write.key, version, expires, expected, write.expect is Expect.ANY, now)
    sql = statements("shared", namespace)["delete" if write.value is None else "put"]
    return Operation(write, sql, fields, version)
