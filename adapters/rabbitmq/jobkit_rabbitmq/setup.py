"""Make a namespace's queues, and remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from jobkit.adapter import Change
from jobkit_rabbitmq.failures import Missing
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.making import ensure
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.posting import Posting
from jobkit_rabbitmq.queues import Names


@contextmanager
def opened(target: Target) -> Iterator[Link[Posting]]:
    with closing(Link(target, "administers", lambda wire: Posting(wire, target))) as link:
        yield link


def set_up(target: Target, queues: Sequence[str]) -> list[Change]:
    """Queues that are there already are left alone: their arguments can't be changed."""
    names = Names(target.options.namespace)
    wanted = [names.landing, names.catalogue, *dict.fromkeys(map(names.of, queues))]
    with opened(target) as link:
        return [Change(f"made queue {name}") for name in ensure(link, names, wanted, link.deadline())]


def tear_down(target: Target) -> None:
    """Remove every queue that the catalogue knows, and itself last, so that it can be done again if it was interrupted."""
    names = Names(target.options.namespace)
    with opened(target) as link:
        for name in [*_catalogued(link, names), names.landing, names.catalogue]:
            link.call(lambda session, outcome, name=name: session.scout.delete(name, outcome), link.deadline())


def _catalogued(link: Link[Posting], names: Names) -> Iterator[str]:
    """The names in the catalogue. Its messages go back to it with the connection, if it is still there then."""
    while True:
        try:
            reply = link.call(lambda session, outcome: session.scout.peek(names.catalogue, outcome), link.deadline())
        except Missing:
            return
        if len(reply) == 1:
            return
        yield reply[-1].body.decode().partition(" ")[2]
