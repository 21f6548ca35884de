"""What a forked child must not share with its parent."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """Something whose sockets, threads and locks belong to the process that made them."""

    def forget(self) -> None:
        """Start anew, touching nothing that is shared with the parent."""


_living: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def after_fork(thing: Forgetful) -> None:
    """Let *thing* forget in every child, before any of its other code runs there."""
    _living.add(thing)


def _forget_all() -> None:
    for thing in list(_living):
        thing.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
