"""Child processes that a check can talk to, freeze and kill."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any

from jobkit_contract.clause import Broken

PATIENCE = 30.0
"""Seconds to wait for a child's next word; starting an interpreter on a busy machine takes a few."""


class Child:
    """
    A real process, running one of `jobkit_contract.scripts` (or ``module:function`` of a third party) in its own bench.

    Args:
        order: What `jobkit_contract.child` reads: place, script, arguments, seed, wrong_clock.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the child)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobkit_contract.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._heard: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.say(order)

    def say(self, value: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def hear(self, within: float = PATIENCE) -> Any:
        """The child's next word, or `Broken` with what it wrote to its standard error."""
        try:
            line = self._heard.get(timeout=within)
        except queue.Empty:
            raise Broken(f"a child process said nothing for {within} s{self._last_words()}") from None
        if line is None:
            raise Broken(f"a child process ended without a word{self._last_words()}")
        return json.loads(line)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end, as an operator would."""
        self._process.terminate()

    def kill(self) -> None:
        """At once and for good; harmless if it has ended."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._heard.put(line)
        except ValueError:  # closed meanwhile
            pass
        self._heard.put(None)

    def _last_words(self) -> str:
        self._errors.seek(0)
        text = self._errors.read().strip()
        return f"; its standard error ends:\n{text[-2000:]}" if text else ""
