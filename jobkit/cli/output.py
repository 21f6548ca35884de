"""What commands print: data to stdout, as JSON or in aligned columns; everything else to stderr."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """*value* on stdout; instants in ISO 8601."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def plain(value: Any) -> dict[str, Any]:
    """The fields of an attrs object or a struct, in order."""
    return attrs.asdict(value, recurse=False) if attrs.has(type(value)) else msgspec.structs.asdict(value)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """*rows* under *headers*, aligned; the columns named in *right* to the right, as figures are read."""
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    flush = [name in right for name in headers]
    click.secho(_line([name.upper() for name in headers], widths, flush), bold=True)
    for text in texts:
        click.echo(_line(text, widths, flush))


def print_fields(fields: Sequence[tuple[str, Any]]) -> None:
    """One line for each field that says something, the values aligned."""
    told = [(name, cell(value)) for name, value in fields if value not in (None, "", ())]
    width = max(len(name) for name, _ in told)
    for name, text in told:
        click.echo(click.style(f"{name:<{width}}", bold=True) + f"  {text}")


def note(text: str) -> None:
    """A remark for a person, on stderr."""
    click.echo(text, err=True)


def cell(value: Any) -> str:
    """One value in words for a person, on one line."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, float):
        return f"{value:.3g}" if value < 10 else f"{value:.0f}"
    return " ".join(str(value).split())


def _line(texts: Sequence[str], widths: Sequence[int], flush: Sequence[bool]) -> str:
    padded = (f"{text:>{w}}" if right else f"{text:<{w}}" for text, w, right in zip(texts, widths, flush, strict=True))
    return "  ".join(padded).rstrip()
