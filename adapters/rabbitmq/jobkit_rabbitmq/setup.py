"""Make a namespace's queues, see that they are as they should be, and remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from jobkit.adapter import Change
from jobkit_rabbitmq.failures import Missing
from jobkit_rabbitmq.landing import send_home
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.making import ensure
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.posting import Posting
from jobkit_rabbitmq.queues import Names


@contextmanager
def opened(target: Target) -> Iterator[Link[Posting]]:
    """A connection for a short while."""
    with closing(Link(target, "administers", lambda wire: Posting(wire, target))) as link:
        yield link


def set_up(target: Target, queues: Sequence[str]) -> list[Change]:
    """
    Make what is missing, and send home what was put aside.

    Raises:
        ConfigurationError: A queue is there with other arguments, which can't be changed.
    """
    names = Names(target.options.namespace)
    wanted = [names.landing, names.catalogue, *dict.fromkeys(map(names.of, queues))]
    with opened(target) as link:
        made = ensure(link, names, wanted, link.deadline())
        for name in wanted:
            link.call(link.deadline(), Posting.make, name)
        changes = [Change(f"made queue {name}") for name in made]
        moved = send_home(link, names)
        return [*changes, Change(f"sent {moved} messages home that had come back too often")] if moved else changes


def tear_down(target: Target) -> None:
    """Remove every queue that the catalogue knows, and itself last, so that it can be done again if it was interrupted."""
    names = Names(target.options.namespace)
    with opened(target) as link:
        for name in [*_catalogued(link, names), names.landing, names.catalogue]:
            link.call(link.deadline(), Posting.delete, name)


def _catalogued(link: Link[Posting], names: Names) -> Iterator[str]:
    """The names in the catalogue. Its messages go back to it with the connection, if it is still there then."""
    while True:
        try:
            packet = link.call(link.deadline(), Posting.peek, names.catalogue)[-1]
        except Missing:
            return
        if isinstance(packet, str):
            return
        yield packet.body.decode().partition(" ")[2]
