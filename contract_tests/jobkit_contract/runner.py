"""Runs checks: side by side, so that their waits overlap; each in a namespace of its own, each with a time limit."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import FrameType

import attrs

from jobkit.errors import Unavailable
from jobkit_contract.bench import QUEUES, Bench
from jobkit_contract.clause import Broken, Check, NotRun, Status
from jobkit_contract.harness import Harness
from jobkit_contract.verdict import Outcome

SIDE_BY_SIDE = 12
"""How many checks run at once. They mostly wait, so this is more than a machine has cores."""

Told = Callable[[Outcome], None]


class Unreachable(Exception):
    """The backend was not there to be tested. Not run, never green."""


def probe(harness: Harness) -> None:
    """
    Reach the backend once, before anything is judged.

    Raises:
        Unreachable: It was not.
    """
    bench = Bench(harness.fresh_place(), harness=harness)
    manifest = harness.manifest()
    try:
        bench.place.setup(QUEUES)
        if manifest.transport is not None:
            bench.transport().depth(["jobs"])
        if manifest.store is not None:
            bench.store().now()
        bench.teardown()
    except Unavailable as error:
        raise Unreachable(str(error)) from error


def run(
    checks: Iterable[Check], harness: Harness, *, seed: int, side_by_side: int = SIDE_BY_SIDE, told: Told = lambda _: None
) -> dict[str, Outcome]:
    """What each of *checks* came to. Those that are still to come are left out: they did not run."""
    outcomes: dict[str, Outcome] = {}
    able = [check for check in checks if check.run]
    for group, at_once in (
        ([each for each in able if each.heavy], 1),
        ([each for each in able if not each.heavy], side_by_side),
    ):
        _run_group(group, harness, seed, at_once, outcomes, told)
    return outcomes


def _run_group(
    checks: list[Check], harness: Harness, seed: int, at_once: int, outcomes: dict[str, Outcome], told: Told
) -> None:
    pending: SimpleQueue[Check] = SimpleQueue()
    # The longest first, so that none is left over at the end.
    for check in sorted(checks, key=lambda check: -check.limit):
        pending.put(check)

    def work() -> None:
        while True:
            try:
                check = pending.get_nowait()
            except Empty:
                return
            outcomes[check.id] = run_one(check, harness, f"{seed}/{check.id}")
            told(outcomes[check.id])

    with ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(work) for _ in range(at_once)]:
            future.result()


@attrs.define
class _Attempt:
    """One check on its way; *step* says what it is at."""

    step: str = "setup"
    outcome: Outcome | None = None


def run_one(check: Check, harness: Harness, seed: str) -> Outcome:
    """Run *check* in a thread of its own, and give up on it after its time limit. There is no second try."""
    begun = time.monotonic()
    bench = Bench(harness.fresh_place(), harness=harness, seed=seed)
    attempt = _Attempt()
    thread = threading.Thread(target=_carry_out, args=(check, bench, attempt), daemon=True, name=check.id)
    thread.start()
    thread.join(check.limit)
    outcome = attempt.outcome
    if outcome is None:
        where = _where([thread, *bench.threads])
        detail = f"hung for {check.limit:g} s in its {attempt.step}, seed {seed}\n{where}"
        outcome = Outcome(check=check.id, status=Status.FAIL, detail=detail)
        threading.Thread(target=_let_go, args=(bench,), daemon=True).start()
    return attrs.evolve(outcome, seconds=time.monotonic() - begun)


def _carry_out(check: Check, bench: Bench, attempt: _Attempt) -> None:
    assert check.run is not None
    try:
        bench.place.setup(QUEUES)
        attempt.step = "run"
        check.run(bench)
        attempt.step = "teardown"
        bench.teardown()
        attempt.outcome = Outcome(check=check.id, status=Status.PASS)
    except BaseException as error:  # noqa: BLE001  (whatever an adapter raises is a finding, not the end of the run)
        attempt.outcome = _judged(check, bench, attempt, error)
        if attempt.step != "teardown":
            _let_go(bench)


def _judged(check: Check, bench: Bench, attempt: _Attempt, error: BaseException) -> Outcome:
    if isinstance(error, NotRun):
        return Outcome(check=check.id, status=Status.NOT_RUN, detail=str(error))
    if isinstance(error, Unavailable) and attempt.step == "setup":
        return Outcome(check=check.id, status=Status.NOT_RUN, detail=f"the backend was not reached: {error}")
    said = str(error) if isinstance(error, Broken) else "".join(traceback.format_exception_only(error)).strip()
    during = "" if attempt.step == "run" else f" (during {attempt.step})"
    return Outcome(check=check.id, status=Status.FAIL, detail=f"{said}{during}\n{_steps(error)}\nseed {bench.seed}")


def _let_go(bench: Bench) -> None:
    """Tidy up after a failure, as well as the adapter lets us; what matters has been recorded."""
    try:
        bench.teardown()
    except BaseException:  # noqa: BLE001
        return


def _steps(error: BaseException) -> str:
    """Where it was raised: the lines from the check down, without the runner's own."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return "\n".join(f"  {frame.name} ({_short(frame.filename)}:{frame.lineno}): {frame.line}" for frame in frames[-8:])


def _where(threads: Iterable[threading.Thread]) -> str:
    """The present position of each living one of *threads*."""
    frames = sys._current_frames()
    return "\n".join(
        _position(thread.name, frame)
        for thread in threads
        if thread.is_alive() and thread.ident is not None and (frame := frames.get(thread.ident)) is not None
    )


def _position(name: str, frame: FrameType) -> str:
    stack = [entry for entry in traceback.extract_stack(frame) if "threading" not in _short(entry.filename)]
    return f"  {name}: " + " > ".join(f"{entry.name} ({_short(entry.filename)}:{entry.lineno})" for entry in stack[-6:])


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])
