"""The test bench: real encoding, retries and records on memory, under a clock to move by hand."""

from __future__ import annotations

import os
from typing import Any

import pytest

from jobkit import ConfigurationError, Handlers, JobKit, current_job

jobs = JobKit()
late = Handlers(prefix="late.")
jobs.include(late)
ran: list[str] = []


@jobs.handler
def note(text: str) -> None:
    ran.append(text)


@jobs.handler(isolated=True, track=True)
def alone() -> int:
    current_job().progress(1, 1)
    return os.getpid()


@late.handler
def joined_after_the_include(text: str) -> None:
    ran.append(text)


def test_a_job_that_was_sent_to_a_queue_by_name_is_run_too() -> None:
    ran.clear()
    with jobs.test() as t:
        note.using(queue="elsewhere").enqueue("here")
        assert t.run() == 1
    assert ran == ["here"]


def test_an_isolated_handler_runs_in_the_tests_own_process() -> None:
    with jobs.test() as t:
        enqueued = alone.enqueue()
        t.run()
        assert enqueued.wait(1) == os.getpid()


def test_handlers_that_join_a_collection_after_its_include_belong_to_the_app() -> None:
    ran.clear()
    with jobs.test() as t:
        joined_after_the_include.enqueue("late")
        assert t.run() == 1
    assert ran == ["late"]
    assert jobs.get("late.joined_after_the_include") is joined_after_the_include


@pytest.mark.parametrize("wrong", [{"middleware": [3]}, {"middleware": len}, {"lifespan": 3}])
def test_middleware_and_lifespans_that_are_none_are_refused_where_they_are_given(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        JobKit(**wrong)
