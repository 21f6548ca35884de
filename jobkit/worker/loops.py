"""The event loop for async handlers: in a thread of its own, beside the slots."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

END_TIME = 5.0
"""Seconds that cancelled handlers get to clean up after themselves."""

log = logging.getLogger("jobkit.worker")


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in another thread; at the end what still runs on it is cancelled, and the loop closed."""
    loop = asyncio.new_event_loop()
    ending = threading.Event()
    thread = threading.Thread(target=_run, args=(loop, ending), name="jobkit-loop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(END_TIME * 2)
        ending.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, ending: threading.Event) -> None:
    """
    Until *ending*. SystemExit and KeyboardInterrupt in a task leave the loop as well as the task, and a handler may stop
    the loop that it runs on: the others go on.
    """
    while not ending.is_set():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - the task has it too, and so its job is settled by it
            log.warning("%s in a task left the event loop; it goes on", type(error).__name__)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_TIME)
    await asyncio.get_running_loop().shutdown_asyncgens()
