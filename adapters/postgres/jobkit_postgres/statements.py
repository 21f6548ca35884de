"""What to execute on the caller's own connection, so that jobs and records commit and roll back with its transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jobkit.store import Write, Written
from jobkit.transactional import Statement
from jobkit.transport import Message, Sent, Settled, Settlement
from jobkit_postgres import wire
from jobkit_postgres.pieces import pieces


def statements(
    schema: str, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
) -> list[Statement]:
    """One statement for each kind that is asked for; more only where one parameter can't hold them."""
    return [
        *_calls(schema, "send", sends, wire.encode_messages, _read_sent),
        *_calls(schema, "settle", settlements, wire.encode_settlements, _read_settled),
        *_calls(schema, "put", writes, wire.encode_writes, _read_written),
    ]


def _calls(
    schema: str,
    function: str,
    items: Sequence[Any],
    encode: Callable[[Sequence[Any]], str],
    read: Callable[..., Sequence[Sent | Settled | Written]],
) -> list[Statement]:
    return [
        Statement(
            before=f"SELECT {schema}.{function}(CAST(",
            parameter=text,
            after=" AS jsonb))",
            read=partial(read, size=len(piece)),
        )
        for piece, text in pieces(items, encode)
    ]


def _read_sent(_texts: Sequence[str], *, size: int) -> list[Sent]:
    return [wire.SENT] * size


def _read_settled(texts: Sequence[str], *, size: int) -> list[Settled]:
    return wire.read_settled(texts[0], size)


def _read_written(texts: Sequence[str], *, size: int) -> list[Written]:
    return wire.read_written(texts[0], size)
