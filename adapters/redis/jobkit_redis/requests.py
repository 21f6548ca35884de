"""What is asked of the server, and where in a cluster it has to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import attrs

from jobkit_redis.options import Address
from jobkit_redis.scripts import Script
from jobkit_redis.wire import Words

I = TypeVar("I")  # noqa: E741

MOST_ITEMS = 500
MOST_BYTES = 4 * 1024 * 1024
"""What one run of a script takes: nobody else is served meanwhile."""


@attrs.frozen(eq=False)
class Request:
    """
    A command, or one run of a script.

    Attributes:
        key: One of its keys, which decides the slot; empty for a command that any server can answer.
        words: The command; for a script what follows its name.
        whole: The server does not know the script yet and is sent its text.
        at: The server to ask, whatever the slots say.
        asking: That server takes the request although the slot is not its own yet.
    """

    key: str
    words: Words
    script: Script | None = None
    whole: bool = False
    at: Address | None = None
    asking: bool = False

    def commands(self) -> list[Words]:
        return [("ASKING",), self._command()] if self.asking else [self._command()]

    def _command(self) -> Words:
        if self.script is None:
            return self.words
        start = ("EVAL", self.script.text) if self.whole else ("EVALSHA", self.script.digest)
        return (*start, *self.words)


def run(script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Request:
    return Request(keys[0], (len(keys), *keys, *arguments), script)


def chunks(items: Sequence[tuple[int, I]]) -> list[list[I]]:
    """*items*, each with its size in bytes, cut into what one run of a script should take."""
    cut: list[list[I]] = []
    room = -1
    for size, item in items:
        if not cut or room < size or len(cut[-1]) >= MOST_ITEMS:
            cut.append([])
            room = MOST_BYTES
        cut[-1].append(item)
        room -= size
    return cut
