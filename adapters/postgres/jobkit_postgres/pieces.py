"""Batches of any size: one statement as a rule, and several where one parameter can't hold them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from jobkit.errors import JobKitError
from jobkit_postgres.failures import ReplyLost

T = TypeVar("T")
A = TypeVar("A")

MOST_TEXT = 64 * 1024 * 1024
"""Characters in one parameter. PostgreSQL takes 255 MiB of JSON; memory, on both sides, suffers long before."""


def pieces(items: Sequence[T], encode: Callable[[Sequence[T]], str]) -> Iterator[tuple[Sequence[T], str]]:
    """*items* with their text, halved until each text fits; nothing for no items."""
    if not items:
        return
    text = encode(items)
    if len(text) <= MOST_TEXT or len(items) == 1:
        yield items, text
        return
    middle = len(items) // 2
    yield from pieces(items[:middle], encode)
    yield from pieces(items[middle:], encode)


def ask(
    items: Sequence[T],
    encode: Callable[[Sequence[T]], str],
    call: Callable[[Sequence[T], str], list[A]],
    unknown: Callable[[str], A],
) -> list[A]:
    """
    The answers to *items*. A piece whose reply was lost is *unknown*, with the reason; so is what fails after another
    piece has been answered, since "nothing was changed" would no longer be true of the call.
    """
    answers: list[A] = []
    for piece, text in pieces(items, encode):
        try:
            answers += call(piece, text)
        except JobKitError as error:
            if not answers and not isinstance(error, ReplyLost):
                raise
            answers += [unknown(str(error))] * len(piece)
    return answers
