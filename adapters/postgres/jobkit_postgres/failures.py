"""What the server's and the driver's errors mean to the core."""

from __future__ import annotations

from pg8000.exceptions import DatabaseError

from jobkit.errors import ConfigurationError, JobKitError, Rejected, SetupRequired, Unavailable

_MISSING = {"3F000", "42P01", "42883"}
"""No such schema, table or function."""

_MISCONFIGURED = {"28000", "28P01", "3D000", "42501"}
"""Login refused, no such database, no permission: trying again won't help."""

_ITEM = {"22", "23", "54"}
"""Classes of errors in what was sent: no other answer will ever come."""


class ReplyLost(Unavailable):
    """The request had left when the connection failed, so it may have been carried out. Writers turn it into UNKNOWN."""


def code_of(error: DatabaseError) -> str:
    return str(_fields(error).get("C", ""))


def is_fatal(error: DatabaseError) -> bool:
    """
    Whether the server ended the connection rather than the statement. A statement that fails has been rolled back; who is
    disconnected doesn't know how far the commit had come.
    """
    fields = _fields(error)
    return fields.get("V", fields.get("S", "ERROR")) != "ERROR"


def translated(error: DatabaseError, masked: str) -> JobKitError:
    """
    The error of the line for one that the server answered, after which nothing has changed.

    Args:
        masked: The URL for people.
    """
    code, text = code_of(error), f"{_fields(error).get('M', error)} ({code_of(error)})"
    if code in _MISSING:
        return setup_required(masked, f"the schema is missing or incomplete: {text}")
    if code in _MISCONFIGURED:
        return ConfigurationError(f"{masked}: {text}{_hint(text)}")
    if code[:2] in _ITEM:
        return Rejected(f"{masked}: {text}")
    return Unavailable(f"{masked}: {text}")


def setup_required(masked: str, why: str) -> SetupRequired:
    return SetupRequired(f"{masked}: {why}; run: jobkit setup --url '{masked}'")


def _fields(error: DatabaseError) -> dict[str, str]:
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def _hint(text: str) -> str:
    return "; the server wants encryption: add ssl=true to the URL" if "no encryption" in text else ""
