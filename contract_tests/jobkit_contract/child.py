"""
The other side of a child process: reads what to run from standard input, runs it, and talks in lines of JSON.

Started by `jobkit_contract.processes`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from jobkit_contract import wall
from jobkit_contract.bench import Bench
from jobkit_contract.place import Place


class Talk:
    """The line to the parent."""

    def __init__(self) -> None:
        self._out = sys.stdout
        # Whatever an adapter prints must not end up between the lines.
        sys.stdout = sys.stderr

    def say(self, value: Any) -> None:
        print(json.dumps(value), file=self._out, flush=True)

    def hear(self) -> Any:
        """Raises SystemExit once the parent is gone."""
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        return json.loads(line)


def main() -> None:
    talk = Talk()
    order = talk.hear()
    place = Place.from_json(order["place"])
    for url in place.urls:
        place.adapter_of(url)  # so that its modules are there to be deceived
    if order["wrong_clock"]:
        wall.install()
    module, _, name = order["script"].partition(":")
    bench = Bench(place, seed=order["seed"])
    try:
        getattr(import_module(module), name)(bench, talk, **order["arguments"])
    finally:
        bench.close_handles()


if __name__ == "__main__":
    main()
