"""What the contract is made of: clauses (one sentence each) and the checks that fail when a sentence is broken."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from jobkit_contract.bench import Bench


class Level(enum.IntEnum):
    """How much a verdict asks for; each one includes those before it."""

    CORE = 1
    FULL = 2
    CERTIFIED = 3

    def __str__(self) -> str:
        return self.name.capitalize()

    @classmethod
    def parse(cls, text: str) -> Level:
        return cls[text.upper()]


class Plane(enum.StrEnum):
    """Which line a check looks at."""

    TRANSPORT = "transport"
    STORE = "store"
    WORKER = "worker"


class Status(enum.StrEnum):
    """What became of a check or a clause. There is no "skipped"."""

    PASS = "pass"
    FAIL = "fail"
    NOT_OFFERED = "not offered"
    WAIVED = "waived"
    NOT_RUN = "not run"


class Broken(AssertionError):
    """A clause was broken. The message says what was promised and what was seen."""


class NotRun(Exception):
    """A check could not be carried out here. Never green: it counts against the verdict."""


@attrs.frozen(kw_only=True)
class Clause:
    """
    One promise.

    Attributes:
        sentence: What MUST hold.
        why: Which failure it prevents.
        level: The lowest level at which its checks are asked for; a check may ask for more.
        since: The suite version that introduced it.
    """

    id: str
    sentence: str
    why: str
    level: Level
    since: str


Run = Callable[["Bench"], None]


@attrs.frozen(kw_only=True)
class Check:
    """
    One test of a clause.

    Attributes:
        name: In words, joined by underscores; unique within the clause.
        run: Raises `Broken` (or anything else) when the clause is broken. None: it is still to come, see *later*.
        needs: Capabilities without which the promise is not made. Where one is not declared, its refusals run instead.
        refuses: This is the negative test of a capability: it runs only where that one is *not* declared.
        limit: Seconds after which it counts as hung.
        heavy: It would hold up others, as by writing many megabytes, and so runs alone.
        later: Why it can not run yet; such a check is "not run", and a level that includes it is not reached.
    """

    clause: str
    name: str
    sentence: str
    run: Run | None
    plane: Plane
    level: Level
    needs: tuple[str, ...] = ()
    refuses: str = ""
    limit: float = 30.0
    heavy: bool = False
    later: str = ""

    @property
    def id(self) -> str:
        return f"{self.clause}/{self.name}"
