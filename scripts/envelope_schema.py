"""
The published JSON Schema of the wire format, made from the structs and their docstrings.

    python -m scripts.envelope_schema        # writes jobkit/envelope.schema.json
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from jobkit.envelope import WIRE_VERSION, Envelope, Failure, Step

PATH = Path(__file__).resolve().parent.parent / "jobkit" / "envelope.schema.json"


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12. Further fields are allowed everywhere: newer versions add some, and they survive."""
    [_], components = msgspec.json.schema_components([Envelope], ref_template="#/$defs/{name}")
    structs = {kind.__name__: _described(components[kind.__name__], kind) for kind in (Envelope, Step, Failure)}
    envelope = structs.pop("Envelope")
    envelope["properties"]["v"] = {"const": WIRE_VERSION, "description": envelope["properties"]["v"]["description"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:jobkit:envelope:v{WIRE_VERSION}",
        **envelope,
        "title": "A jobkit job on its way",
        "$defs": structs,
    }


def _described(definition: dict[str, Any], kind: type) -> dict[str, Any]:
    """*definition* with what the struct's docstring says of it and of each of its fields."""
    summary, _, fields = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    texts = _by_name(fields)
    properties = {name: {**found, "description": texts[name]} for name, found in definition["properties"].items()}
    return {**definition, "description": summary.partition("\n\n")[0].replace("\n", " "), "properties": properties}


def _by_name(attributes: str) -> dict[str, str]:
    """``name: text`` by name; a text may go on in indented lines."""
    found = re.findall(r"^(\w+): (.*(?:\n[ ]+.*)*)", textwrap.dedent(attributes), re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("`", "").strip() for name, text in found}


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
