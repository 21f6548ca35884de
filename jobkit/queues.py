"""
Queues as users name them, and the physical queues behind them: one per priority, since few brokers know priorities.

The same names mean the same on every backend, so a job keeps its queue when it moves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from jobkit.errors import ConfigurationError

Priority = Literal["low", "normal", "high"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)

OUTBOX = "outbox--relay"
"""The outbox's physical queue. No user's queue can be called so."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUFFIX: dict[Priority, str] = {"high": "--high", "normal": "", "low": "--low"}

# Which priority is looked at first, receive by receive. Of ten looks low has the first pick once and normal twice, so
# neither starves however much of the higher ones there is.
_FIRST_PICK: tuple[Priority, ...] = ("high", "high", "high", "normal", "high", "high", "normal", "high", "high", "low")
_ORDER: dict[Priority, tuple[Priority, ...]] = {
    "high": ("high", "normal", "low"),
    "normal": ("normal", "high", "low"),
    "low": ("low", "high", "normal"),
}


def check_queue(name: object) -> str:
    """
    *name*, if it is one.

    Raises:
        ConfigurationError: It is not; the message says what is allowed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "--" in name:
        raise ConfigurationError(f"queue {name!r}: allowed are 1 to 64 letters, digits, '_' and single '-'")
    return name


def check_priority(priority: str) -> Priority:
    """*priority*, if it is one; else a ConfigurationError that names the three."""
    if priority not in PRIORITIES:
        raise ConfigurationError(f"priority {priority!r}: allowed are {', '.join(PRIORITIES)}")
    return priority


def physical(queue: str, priority: Priority) -> str:
    """The broker's queue for jobs of *queue* with *priority*."""
    return queue + _SUFFIX[priority]


def all_physical(queue: str) -> list[str]:
    """Every broker's queue behind *queue*."""
    return [physical(queue, priority) for priority in reversed(PRIORITIES)]


def logical(name: str) -> str:
    """The user's queue that a broker's queue belongs to."""
    return name.removesuffix(_SUFFIX["high"]).removesuffix(_SUFFIX["low"])


def receive_order(queues: Sequence[str], turn: int) -> list[str]:
    """
    The broker's queues in the order in which receive number *turn* looks at them.

    By priority first; among queues of one priority each gets its turn at the front.
    """
    round_, place = divmod(turn, len(_FIRST_PICK))
    first = _FIRST_PICK[place]
    # Counted per priority, so that each queue gets its first picks of each, however many queues there are.
    picks_before = round_ * _FIRST_PICK.count(first) + _FIRST_PICK[:place].count(first)
    start = picks_before % len(queues)
    rotated = [*queues[start:], *queues[:start]]
    return [physical(queue, priority) for priority in _ORDER[first] for queue in rotated]
