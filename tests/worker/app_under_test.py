"""Handlers for tests that run real worker processes. Every effect is one line, appended by one write, in a file outside."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from jobkit import Dead, Discard, JobKit, Retry, RetryPolicy, Snooze, current_job


@contextlib.contextmanager
def lifespan() -> Iterator[str]:
    yield f"state of {os.getpid()}"


jobs = JobKit(lifespan=lifespan, unknown_type_for="1s")

QUICK = RetryPolicy(max_attempts=3, delays=[0.05])


def note(text: str) -> None:
    """One line in the effects file."""
    with open(os.environ["EFFECTS"], "ab", buffering=0) as effects:
        effects.write(f"{text} {os.getpid()}\n".encode())


@jobs.handler
def count(number: int) -> None:
    note(f"ran {number}")


@jobs.handler
def work(number: int, seconds: float) -> None:
    note(f"began {number}")
    time.sleep(seconds)
    note(f"ran {number}")


@jobs.handler(retry=RetryPolicy(max_attempts=2, delays=[0.05]), track=True)
def die(number: int) -> None:
    note(f"died {number}")
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.handler(track=True)
def tracked(number: int) -> int:
    job = current_job()
    for step in range(3):
        job.progress(step + 1, 3, f"step {step + 1}")
    note(f"ran {number}")
    return number * 2


@jobs.handler(track=True, retry=QUICK)
def fail(number: int) -> None:
    note(f"attempt {current_job().attempt}")
    raise ValueError(f"number {number} is refused")


@jobs.handler(track=True, retry=QUICK)
def steer(how: str) -> str:
    note(f"{how} {current_job().attempt}")
    if how == "retry" and current_job().attempt == 1:
        raise Retry(after=0.05)
    if how == "snooze" and "ran before" not in Path(os.environ["EFFECTS"]).read_text():
        note("ran before")
        raise Snooze(0.05)
    if how == "discard":
        raise Discard("not needed")
    if how == "dead":
        raise Dead("beyond help")
    return how


@jobs.handler(track=True, timeout=0.3, retry=RetryPolicy(max_attempts=1))
def too_long_in_thread() -> None:
    while True:
        time.sleep(0.01)


@jobs.handler(track=True, timeout=0.3, retry=RetryPolicy(max_attempts=1))
async def too_long_async() -> None:
    await asyncio.sleep(60)


@jobs.handler(track=True, timeout=1.0, isolated=True, retry=RetryPolicy(max_attempts=1))
def too_long_isolated() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    time.sleep(60)


@jobs.handler(track=True, isolated=True, retry=RetryPolicy(max_attempts=1))
def crash_isolated() -> None:
    os._exit(7)


@jobs.handler(track=True, isolated=True)
def isolated(number: int) -> str:
    current_job().progress(1, 1)
    return f"{number} with {current_job().state.split()[0]} by {os.getpid()}"


@jobs.handler(track=True)
async def asynchronous(number: int) -> str:
    await asyncio.sleep(0.01)
    return f"{number} with {current_job().state.split()[0]}"


ONCE = RetryPolicy(max_attempts=1)


class Speechless(Exception):
    """An error whose text cannot be had, and whose attempt at it would end a thread."""

    def __str__(self) -> str:
        raise SystemExit(3)


@jobs.handler(track=True, retry=ONCE)
def speechless() -> None:
    raise Speechless


@jobs.handler(track=True, retry=ONCE)
async def leave_async() -> None:
    raise SystemExit(3)


@jobs.handler(track=True, retry=ONCE, isolated=True)
async def leave_async_isolated() -> None:
    raise SystemExit(3)


@jobs.handler(track=True, retry=ONCE)
async def stop_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "went on"


@jobs.handler(track=True, retry=ONCE, isolated=True)
def crash_with_a_child_that_lives() -> None:
    if os.fork() == 0:
        time.sleep(15)
        os._exit(0)
    os._exit(7)


@jobs.handler
def nothing() -> None:
    pass


@jobs.handler(timeout=0.05, retry=ONCE)
def enqueue_on_and_on() -> None:
    while True:
        nothing.enqueue()


@jobs.handler(track=True, retry=ONCE)
def fork_and_return() -> str:
    if os.fork() == 0:
        return "child"
    time.sleep(0.5)
    return "parent"
