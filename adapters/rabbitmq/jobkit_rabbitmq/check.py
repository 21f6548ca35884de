"""What a person should know before trusting jobs to this server. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from jobkit.adapter import Finding
from jobkit.errors import ConfigurationError, SetupRequired
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.options import Target
from jobkit_rabbitmq.posting import Posting
from jobkit_rabbitmq.queues import Names
from jobkit_rabbitmq.setup import opened

OLDEST = (3, 10)
"""Since then quorum queues keep what they dead-letter until it has arrived."""

RUN = (3, 10)
"""The version that was run; of others only their documentation is known."""

SHORTEST_MARGIN = 1500.0
"""Seconds: what a server with the usual consumer_timeout of 30 minutes leaves for a lease, with some minutes to spare."""


def check(target: Target) -> list[Finding]:
    """
    Raises:
        Unavailable, ConfigurationError: There is nothing to look at.
    """
    names = Names(target.options.namespace)
    with opened(target) as link:
        server = link.call(link.deadline(), _server)
        return [*_encryption(target), *_version(server), *_layout(link, names), *_limits(target)]


def _server(session: Posting, outcome: Future[dict[str, Any]]) -> None:
    outcome.set_result(session.server)


def _encryption(target: Target) -> Iterator[Finding]:
    if not target.is_local and not target.encrypted:
        yield Finding("warning", f"jobs travel to {target.host} in plain text", "use amqps://")


def _version(server: dict[str, Any]) -> Iterator[Finding]:
    product, version = str(server.get("product", "?")), str(server.get("version", "?"))
    if product != "RabbitMQ":
        yield Finding("error", f"this server is {product} {version}", "jobkit needs RabbitMQ's quorum queues")
        return
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if number < OLDEST:
        yield Finding("error", f"RabbitMQ {version}", "jobkit needs 3.10 or later")
    elif number != RUN:
        yield Finding("warning", f"RabbitMQ {version} has not been run", "run `jobkit contract` against it first")
    else:
        yield Finding("ok", f"RabbitMQ {version}")


def _layout(link: Link[Posting], names: Names) -> Iterator[Finding]:
    landed, catalogue = link.call(link.deadline(), Posting.look, [names.landing, names.catalogue])
    if landed is None or catalogue is None:
        yield Finding("error", f"queues {names.landing} and {names.catalogue} are missing", "run: jobkit setup")
        return
    yield from _arguments(link, names)
    if landed:
        advice = "find out why they can't be finished; `jobkit setup` sends them home"
        yield Finding("error", f"{landed} messages have come back too often, and wait in {names.landing}", advice)


def _arguments(link: Link[Posting], names: Names) -> Iterator[Finding]:
    """Declaring what is there changes nothing, and is refused if it is there in another form."""
    try:
        link.call(link.deadline(), Posting.make, names.landing)
        link.call(link.deadline(), Posting.make, names.catalogue)
    except ConfigurationError as error:
        advice = "remove it if nothing is in it, and run jobkit setup; or use another namespace"
        yield Finding("error", f"a queue was not made by this jobkit: {error}", advice)
    except SetupRequired:
        yield Finding(
            "warning", "this user may not make queues", "right for one who needs less; jobkit setup has to run first"
        )
    else:
        yield Finding("ok", "the namespace is set up")


def _limits(target: Target) -> Iterator[Finding]:
    longest = target.options.max_lease
    if longest > SHORTEST_MARGIN:
        advice = (
            "set the server's consumer_timeout some minutes higher: at it, it closes the channel with all that is on loan"
        )
        yield Finding("warning", f"max_lease is {longest:.0f} s, and consumer_timeout can't be asked for", advice)
