"""What the server's refusals and broken connections mean to the core."""

from __future__ import annotations

import re

from jobkit.errors import ConfigurationError, JobKitError, SetupRequired, Unavailable

_MISCONFIGURED = {"NOAUTH", "WRONGPASS", "NOPERM", "CROSSSLOT", "DENIED"}
"""Login refused, no permission, a cluster that was not said to be one: trying again won't help."""

_NOT_NOW = {
    *("OOM", "LOADING", "BUSY", "MASTERDOWN", "READONLY", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"),
    *("MOVED", "ASK", "NOSCRIPT", "NOGOODSLAVE"),
}
"""Said before the first write of a script, or instead of a command: nothing has changed."""

_LEFT = {"READONLY", "LOADING", "MASTERDOWN", "NOAUTH"}
"""Said by a server that is not, or is no longer, the one to talk to: the next call should connect anew."""

_INSIDE_A_SCRIPT = re.compile(r"^ERR Error running script.*?: -?([A-Z]+) ")
"""How servers before 7 wrap what was said to a script."""


class ReplyLost(Unavailable):
    """The request had left when the connection failed, so it may have been carried out. Writers turn it into UNKNOWN."""


def code_of(refusal: str) -> str:
    """The first word of what the server said instead of an answer."""
    inside = _INSIDE_A_SCRIPT.match(refusal)
    return inside[1] if inside else refusal.partition(" ")[0]


def sends_away(refusal: str) -> bool:
    return code_of(refusal) in _LEFT


def translated(refusal: str, masked: str) -> JobKitError:
    """
    The error of the line for what the server said instead of an answer.

    Args:
        masked: The URL for people.
    """
    code = code_of(refusal)
    if code in _MISCONFIGURED:
        hint = "; it is one of a cluster: add cluster=true to the URL" if code == "CROSSSLOT" else ""
        return ConfigurationError(f"{masked}: {refusal}{hint}")
    if code in _NOT_NOW:
        return Unavailable(f"{masked}: {refusal}")
    # A script that fails half-way is not rolled back, so whatever else is said may have been said after a write.
    return ReplyLost(f"{masked}: {refusal}")


def setup_required(masked: str, why: str) -> SetupRequired:
    return SetupRequired(f"{masked}: {why}; run: jobkit setup --url '{masked}'")
