"""
Records as DynamoDB's items: the collection is the partition key, the name the sort key, whose order is that of UTF-8 bytes.

DynamoDB removes what has expired only days later, so every condition and every read looks at ``expires`` itself.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Any

from jobkit.store import Expect, Key, Record, Write

MAX_VALUE = 400_000
"""Bytes: DynamoDB takes 400 KiB in all, with the names of attributes and the longest key."""

NAMES = {"#collection": "collection", "#name": "name", "#expires": "expires", "#version": "version"}

LIVES = "(attribute_not_exists(#expires) OR #expires > :now)"
_ABSENT = "(attribute_not_exists(#name) OR #expires <= :now)"
_SAME = f"#version = :version AND {LIVES}"

SWEPT_AFTER = 3600
"""Seconds after its expiry from which DynamoDB may remove an item: whoever's clock decides, it is over by then."""

META = "#meta"
"""The collection of the table's own version: no other one can be called so."""

LAYOUT = 1


def key(place: Key) -> dict[str, Any]:
    return {"collection": {"S": place.collection}, "name": {"S": place.name}}


META_KEY = {"collection": {"S": META}, "name": {"S": "layout"}}


def number(value: float) -> dict[str, str]:
    return {"N": f"{value:.3f}"}


def item(write: Write, version: str, now: float) -> dict[str, Any]:
    """What *write* puts, if it puts a value."""
    made = {**key(write.key), "value": {"B": bytes(write.value or b"")}, "version": {"S": version}}
    if write.ttl is not None:
        made["expires"] = number(now + write.ttl)
        made["ttl"] = {"N": str(math.ceil(now + write.ttl) + SWEPT_AFTER)}
    return made


def new_version() -> str:
    """One that no other write has, so that none recurs."""
    return secrets.token_hex(12)


def condition(expect: str | Expect, now: float) -> dict[str, Any]:
    """The parameters that make a write conditional; none for one that is not."""
    if expect is Expect.ANY:
        return {}
    text = _ABSENT if expect is Expect.ABSENT else _SAME
    values = {":now": number(now)}
    if expect is not Expect.ABSENT:
        values[":version"] = {"S": str(expect)}
    return {
        "ConditionExpression": text,
        "ExpressionAttributeNames": {name: real for name, real in NAMES.items() if name in text},
        "ExpressionAttributeValues": values,
    }


def record(found: Mapping[str, Any], now: float) -> Record | None:
    """The record in an item, unless that has expired."""
    expires = found.get("expires")
    if expires is not None and float(expires["N"]) <= now:
        return None
    return Record(bytes(found["value"]["B"]), found["version"]["S"])
