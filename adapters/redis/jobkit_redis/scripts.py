"""The Lua scripts, each a file of its own behind the text that its kind shares."""

from __future__ import annotations

import hashlib
from importlib import resources

import attrs


@attrs.frozen
class Script:
    """
    Attributes:
        digest: By which a server that has seen the script knows it.
    """

    name: str
    text: str = attrs.field(repr=False)
    digest: str = attrs.field(repr=False)


def _script(shared: str, name: str) -> Script:
    folder = resources.files("jobkit_redis").joinpath("lua")
    text = "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in (shared, name))
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


SEND, CLAIM, LOOK, SETTLE, EXTEND, DEPTH, PURGE = (
    _script("queue", name) for name in ("send", "claim", "look", "settle", "extend", "depth", "purge")
)
PUT, GET, SCAN, COUNT = (_script("collection", name) for name in ("put", "get", "scan", "count"))
