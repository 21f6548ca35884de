"""
The line's optional part: backends in an SQL database, whose jobs and records the caller's own transaction can hold.

That transaction never crosses the line. An adapter says what to execute; `jobkit.connections` executes it, through whatever
connection the caller holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from jobkit.store import Write, Written
from jobkit.transport import Message, Sent, Settled, Settlement


@attrs.frozen
class Statement:
    """
    One SQL statement for the caller's own connection: *before*, one parameter (JSON text), *after*.

    The parts hold no ``%``, ``:`` or ``?``, so that any placeholder fits between them. It yields rows of one text column.

    Attributes:
        read: Takes those texts and gives the answers for the statement's part of the call.
    """

    before: str
    parameter: str = attrs.field(repr=False)
    after: str
    read: Callable[[Sequence[str]], Sequence[Sent | Settled | Written]] = attrs.field(repr=False)


class Transactional(Protocol):
    """An adapter whose messages and records live in an SQL database, so that the caller's transaction can hold them."""

    def statements(
        self, sends: Sequence[Message], settlements: Sequence[Settlement], writes: Sequence[Write]
    ) -> list[Statement]:
        """
        What to execute, in order and at once (settlements hold while the lease does), on the caller's connection; committed
        and rolled back with it. No I/O.

        The statements' answers, one after the other, are those for *sends*, then *settlements*, then *writes*. A transport
        takes no *writes* unless its store lives in the same database and namespace.

        Raises:
            TooLarge, ValueError: As `Transport.send`.
        """
