"""Queues are made when they are set up, or else when they are first needed, and written down before they are made."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobkit.errors import Unavailable
from jobkit.transport import Answer, Message
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.posting import Post, Posting
from jobkit_rabbitmq.queues import LAYOUT, Names

NOT_READY = 0.02
"""Seconds between two looks at a queue that is being made."""


def ensure(link: Link[Posting], names: Names, wanted: Sequence[str], deadline: float) -> list[str]:
    """
    See that the broker's queues *wanted* are there, and make those that are missing.

    The catalogue learns of a queue first, since nobody can ask the broker for its queues: whatever there is can be removed.

    Returns:
        What was made.

    Raises:
        SetupRequired: One is missing, and this user may not make it.
    """
    missing = _missing(link, wanted, deadline)
    if missing:
        ours = [names.landing, names.catalogue]
        own = _missing(link, ours, deadline)
        for name in own:
            link.call(deadline, Posting.make, name)
        link.call(deadline, Posting.learn, [names.catalogue])
        others = [name for name in missing if name not in ours]
        _write_down(link, names, others, deadline)
        for name in others:
            link.call(deadline, Posting.make, name)
        missing = [*own, *others]
    link.call(deadline, Posting.learn, wanted)
    return missing


def _missing(link: Link[Posting], wanted: Sequence[str], deadline: float) -> list[str]:
    counts = link.call(deadline, Posting.look, wanted)
    return [name for name, count in zip(wanted, counts, strict=True) if count is None]


def _write_down(link: Link[Posting], names: Names, made: Sequence[str], deadline: float) -> None:
    if not made:
        return
    entries = [Message(id=name, queue="catalogue", body=f"{LAYOUT} {name}".encode()) for name in made]
    post = Post([names.catalogue] * len(entries), entries)
    submit_when_ready(link, post, deadline)
    if any(sent.answer is not Answer.YES for sent in post.results("no answer")):
        raise Unavailable(f"queue {names.catalogue!r} took no entry, so nothing was made")


def submit_when_ready(link: Link[Posting], post: Post, deadline: float) -> None:
    """
    Publish to queues that have just been made. A queue that somebody else is making at the same time is there already,
    and refuses everything until it has a leader; the broker offers nothing else by which to see that it has one.
    """
    while True:
        if link.call(deadline, Posting.submit, post):
            raise Unavailable("the connection was lost while queues were made")
        if post.refused < len(post.messages) or time.monotonic() + NOT_READY > deadline:
            return
        time.sleep(NOT_READY)
        post.renew()
