"""The app's lifespan in a worker's process: entered before the first job, left after the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any

from jobkit.app import Lifespan
from jobkit.errors import ConfigurationError


@contextmanager
def entered(lifespan: Lifespan | None, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """What *lifespan* yields; an async one lives on *loop*, as the async handlers do."""
    if lifespan is None:
        yield None
        return
    manager = lifespan()
    if isinstance(manager, AbstractContextManager):
        with manager as state:
            yield state
    elif isinstance(manager, AbstractAsyncContextManager):
        yield from _entered_on_loop(manager, loop)
    else:
        raise ConfigurationError(
            f"lifespan {lifespan!r}: it gave {manager!r}, which is no context manager; decorate it with "
            "contextlib.contextmanager or asynccontextmanager"
        )


def _entered_on_loop(manager: AbstractAsyncContextManager[Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    state = asyncio.run_coroutine_threadsafe(_enter(manager), loop).result()
    try:
        yield state
    finally:
        asyncio.run_coroutine_threadsafe(_leave(manager), loop).result()


async def _enter(manager: AbstractAsyncContextManager[Any]) -> Any:
    return await manager.__aenter__()


async def _leave(manager: AbstractAsyncContextManager[Any]) -> None:
    await manager.__aexit__(None, None, None)
