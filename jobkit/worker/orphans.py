"""A process whose parent has gone must not go on alone: nobody would restart, stop or count it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable


def end_with_parent(end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """Call *end* once the parent process has gone, however it went. Watched by a thread of its own, without polling."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        end()

    threading.Thread(target=watch, name="jobkit-parent", daemon=True).start()
