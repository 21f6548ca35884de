"""Queue names: jobkit's within a namespace, and SQS's within an account."""

from __future__ import annotations

import hashlib

LONGEST = 80
"""What SQS takes."""

CLOCK = ""
"""No queue of anybody's: the one in which a message is left to see what time SQS has."""

_DIGEST = 20


def aws_name(stem: str, queue: str) -> str:
    """SQS's name for *queue*. One that would be too long is cut, with a digest of the whole; its tag has the whole."""
    name = f"{stem}{queue}"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(queue.encode()).hexdigest()[:_DIGEST]
    return f"{name[: LONGEST - _DIGEST - 1]}-{digest}"


def name_in_url(url: str) -> str:
    """The last part of a queue's URL."""
    return url.rpartition("/")[2]


def is_cut(name: str) -> bool:
    """Whether *name* may be one that was cut: those fill all the room there is."""
    return len(name) == LONGEST
