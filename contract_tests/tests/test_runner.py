"""Checks run side by side, each with a namespace and a time limit of its own, and whatever they raise is a finding."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from jobkit.errors import Unavailable
from jobkit.memory import MemoryAdapter
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Broken, Check, NotRun, Status
from jobkit_contract.harness import Harness
from jobkit_contract.runner import Unreachable, probe, run, run_one
from jobkit_contract.steps import expect, receive, send
from jobkit_contract.verdict import Outcome

Make = Callable[..., Check]
MEMORY = Harness.of("memory://")


def outcome_of(check: Check, harness: Harness = MEMORY) -> Outcome:
    return run_one(check, harness, "7/seed")


def test_a_check_that_raises_nothing_passes(check: Make) -> None:
    assert outcome_of(check()).status is Status.PASS


def test_a_broken_clause_says_what_and_where(check: Make) -> None:
    def broken(bench: Bench) -> None:
        expect(False, "two and two were five")

    outcome = outcome_of(check(run=broken))
    assert outcome.status is Status.FAIL
    assert outcome.detail.startswith("two and two were five\n")
    assert "test_runner.py" in outcome.detail
    assert "seed 7/seed" in outcome.detail


@pytest.mark.parametrize("error", [ValueError("odd"), Unavailable("away"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_an_adapter_raises_is_a_failure(check: Make, error: BaseException) -> None:
    def raising(bench: Bench) -> None:
        raise error

    outcome = outcome_of(check(run=raising))
    assert outcome.status is Status.FAIL
    assert type(error).__name__ in outcome.detail


def test_a_check_that_can_not_run_here_is_not_run(check: Make) -> None:
    def unable(bench: Bench) -> None:
        raise NotRun("there is no opener")

    outcome = outcome_of(check(run=unable))
    assert (outcome.status, outcome.detail) == (Status.NOT_RUN, "there is no opener")


def test_a_hang_is_a_failure_that_says_where(check: Make) -> None:
    over = threading.Event()

    def sleeping_beauty(bench: Bench) -> None:
        over.wait(30)

    begun = time.monotonic()
    outcome = outcome_of(check(run=sleeping_beauty, limit=0.3))
    over.set()
    assert time.monotonic() - begun < 10
    assert outcome.status is Status.FAIL
    assert "hung for 0.3 s in its run" in outcome.detail
    assert "sleeping_beauty (tests/test_runner.py:" in outcome.detail


def test_a_hang_in_a_thread_of_the_check_is_found_too(check: Make) -> None:
    over = threading.Event()

    def lost_in_thought() -> None:
        over.wait(30)

    outcome = outcome_of(check(run=lambda bench: bench.start(lost_in_thought).result(), limit=0.3))
    over.set()
    assert "lost_in_thought (tests/test_runner.py:" in outcome.detail


class Hanging(MemoryAdapter):
    """Never comes back from setup, or from teardown."""

    over = threading.Event()

    def teardown(self, url: object) -> None:
        self.over.wait(30)


hanging = Hanging()


class Away(MemoryAdapter):
    def setup(self, url: object, queues: object) -> list[object]:  # type: ignore[override]
        raise Unavailable("nobody listens on port 1")


away = Away()


def harness_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    import sys

    monkeypatch.setitem(sys.modules, "forged_adapters", sys.modules[__name__])
    return Harness.of("memory://", adapter=f"forged_adapters:{name}")


def test_a_hang_of_teardown_is_a_failure(check: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(check(limit=0.3), harness_of("hanging", monkeypatch))
    Hanging.over.set()
    assert outcome.status is Status.FAIL
    assert "in its teardown" in outcome.detail


def test_an_unreachable_backend_is_not_run_and_never_green(check: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = harness_of("away", monkeypatch)
    with pytest.raises(Unreachable, match="nobody listens"):
        probe(harness)
    outcome = outcome_of(check(), harness)
    assert outcome.status is Status.NOT_RUN
    assert "nobody listens" in outcome.detail


def test_a_backend_that_is_there_can_be_probed() -> None:
    probe(MEMORY)


def test_each_check_has_a_namespace_of_its_own(check: Make) -> None:
    barrier = threading.Barrier(2)

    def alone(bench: Bench) -> None:
        transport = bench.transport()
        send(transport, bench.message("mine"))
        barrier.wait(10)
        expect(len(receive(transport)) == 1, "somebody else's message is here")

    outcomes = run([check("one", run=alone), check("two", run=alone)], MEMORY, seed=1)
    assert [outcome.status for outcome in outcomes.values()] == [Status.PASS] * 2


def test_checks_run_side_by_side(check: Make) -> None:
    """Both wait for each other, so one after the other would never end."""
    barrier = threading.Barrier(3)
    outcomes = run([check(name, run=lambda bench: barrier.wait(10) and None) for name in "abc"], MEMORY, seed=1)
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


def test_checks_to_come_are_left_out(check: Make) -> None:
    told: list[str] = []
    outcomes = run([check("now"), check("later", run=None)], MEMORY, seed=1, told=lambda outcome: told.append(outcome.check))
    assert list(outcomes) == told == ["X-1/now"]


def test_the_same_seed_gives_the_same_messages(check: Make) -> None:
    seen: list[str] = []

    def note(bench: Bench) -> None:
        seen.append(bench.message().id)

    for seed in (1, 1, 2):
        run([check(run=note)], MEMORY, seed=seed)
    assert seen[0] == seen[1] != seen[2]


def test_what_a_check_opened_is_closed_after_it(check: Make) -> None:
    from jobkit.errors import Closed
    from jobkit.transport import Transport

    opened: list[Transport] = []
    assert outcome_of(check(run=lambda bench: opened.append(bench.transport()))).status is Status.PASS
    with pytest.raises(Closed):
        opened[0].depth([])


def test_a_broken_clause_is_an_assertion_error() -> None:
    assert issubclass(Broken, AssertionError)
