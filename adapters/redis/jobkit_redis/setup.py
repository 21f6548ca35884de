"""Making, and removing, a namespace. There is little to make: the scripts create keys as they need them."""

from __future__ import annotations

import time
from contextlib import closing

from jobkit.adapter import Change
from jobkit.errors import ConfigurationError, JobKitError
from jobkit_redis.options import Address, Target
from jobkit_redis.requests import Request
from jobkit_redis.server import LAYOUT, Server, read_layout, write_layout
from jobkit_redis.wire import Reply

SECONDS = 300.0
"""For removing a namespace, which means looking at all keys of the servers."""

LOOKED_AT_ONCE = 1000


def set_up(target: Target) -> list[Change]:
    """
    Note the layout's version; of several at once one does.

    Raises:
        ConfigurationError: A newer jobkit has been here.
    """
    deadline = time.monotonic() + target.options.timeout
    with closing(Server(target)) as server:
        if write_layout(server.ask_bare, server.keys, deadline):
            return [Change(f"namespace {target.options.namespace}: layout {LAYOUT}")]
        version = read_layout(server.ask_bare, server.keys, deadline) or LAYOUT
    if version > LAYOUT:
        raise ConfigurationError(f"{target.masked}: the layout {version} is newer than {LAYOUT}: upgrade first")
    return []


def tear_down(target: Target) -> None:
    """Remove every key of the namespace, listed anywhere or not."""
    deadline = time.monotonic() + SECONDS
    with closing(Server(target)) as server:
        # The first question also finds out where the others have to be asked.
        read_layout(server.ask_bare, server.keys, deadline)
        for address in server.slots.servers():
            _remove_at(server, address, deadline)


def _remove_at(server: Server, address: Address, deadline: float) -> None:
    cursor = b"0"
    while True:
        words = ("SCAN", cursor, "MATCH", server.keys.all, "COUNT", LOOKED_AT_ONCE)
        cursor, found = _answer(server, Request("", words, at=address), deadline)
        for reply in server.ask_bare([Request(key.decode(), ("UNLINK", key)) for key in found], deadline):
            if isinstance(reply, JobKitError):
                raise reply
        if cursor == b"0":
            return


def _answer(server: Server, request: Request, deadline: float) -> Reply:
    (reply,) = server.ask_bare([request], deadline)
    if isinstance(reply, JobKitError):
        raise reply
    return reply
