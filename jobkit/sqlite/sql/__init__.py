"""The SQL, in files of its own: sections that begin with ``-- name: x``, with ``{ns}`` where the tables' prefix belongs."""

from __future__ import annotations

import functools
from importlib.resources import files


def prefix(namespace: str) -> str:
    """SQLite keeps all names that begin with ``sqlite_`` to itself. No namespace begins with an underscore."""
    return f"_{namespace}" if namespace.startswith("sqlite") else namespace


@functools.cache
def statements(file: str, namespace: str) -> dict[str, str]:
    """The statements of ``<file>.sql`` by name, without their comments."""
    sections = _text(file, namespace).split("-- name: ")[1:]
    named = (section.partition("\n") for section in sections)
    return {name.strip(): _without_comments(body).strip() for name, _, body in named}


def script(file: str, namespace: str) -> list[str]:
    """
    The statements of ``<file>.sql``, one by one.

    sqlite3's own `executescript` would commit the transaction in which they are to run.
    """
    return [part.strip() for part in _without_comments(_text(file, namespace)).split(";") if part.strip()]


def _text(file: str, namespace: str) -> str:
    return files(__package__).joinpath(f"{file}.sql").read_text(encoding="utf-8").replace("{ns}", prefix(namespace))


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
