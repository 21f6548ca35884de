"""From the replies to several requests to one answer for each item of a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from jobkit.errors import JobKitError
from jobkit_redis.failures import ReplyLost
from jobkit_redis.wire import Reply

A = TypeVar("A")


def spread(
    places: Sequence[Sequence[int]],
    replies: Sequence[Reply | JobKitError],
    read: Callable[[Reply], Sequence[A]],
    unknown: Callable[[str], A],
) -> dict[int, A]:
    """
    The answers by the items' places in the call.

    What failed is *unknown*, with the reason, as soon as another request may have been carried out: "nothing was changed"
    would no longer be true of the call.

    Args:
        places: For each request those of its items.

    Raises:
        JobKitError: Nothing was changed.
    """
    errors = [reply for reply in replies if isinstance(reply, JobKitError)]
    if errors and len(errors) == len(replies) and not any(isinstance(error, ReplyLost) for error in errors):
        raise errors[0]
    answers: dict[int, A] = {}
    for those, reply in zip(places, replies, strict=True):
        found = [unknown(str(reply))] * len(those) if isinstance(reply, JobKitError) else read(reply)
        answers.update(zip(those, found, strict=True))
    return answers
