"""``jobkit enqueue``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from jobkit import JobKit

Run = Callable[..., Result]


def test_with_an_app_the_job_is_the_handlers_own_and_only_its_id_is_on_stdout(run: Run, shop: JobKit) -> None:
    done = run("enqueue", "receipt", "--arg", "order=7", "--app", "shop:jobs")
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(done.stdout.strip()) == 36
    assert [(queue.queue, queue.ready) for queue in shop.stats(["mail"])] == [("mail", 1)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--arg", "order=seven"], "'order'"),
        (["--arg", "order=7", "--arg", "colour=red"], "colour"),
        ([], "order"),
        (["--arg", "order=7", "--arg", "note=12"], "'note'"),
    ],
)
def test_arguments_that_do_not_fit_the_handler_are_wrong_usage(run: Run, arguments: list[str], told: str) -> None:
    done = run("enqueue", "receipt", *arguments, "--app", "shop:jobs")
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_a_text_that_reads_as_json_can_be_quoted(run: Run) -> None:
    done = run("enqueue", "receipt", "--arg", "order=7", "--arg", 'note="12"', "--app", "shop:jobs")
    assert done.exit_code == 0, done.stderr


def test_an_unknown_type_is_not_found_and_the_nearest_is_named(run: Run) -> None:
    done = run("enqueue", "recipt", "--app", "shop:jobs")
    assert done.exit_code == 5
    assert "did you mean 'receipt'?" in done.stderr


def test_an_app_without_handlers_takes_nothing_unchecked(run: Run) -> None:
    assert run("enqueue", "receipt", "--app", "shop:empty").exit_code == 5


def test_without_an_app_it_goes_by_name_alone_and_says_so(run: Run, shop: JobKit, work: Callable[[], None]) -> None:
    done = run("enqueue", "charge", "--arg", "order=-5", "--queue", "money", "--url", "sqlite:///shop.db")
    assert done.exit_code == 0
    assert "checked" in done.stderr
    work()
    letter = shop.dead.show(done.stdout.strip())
    assert letter.envelope is not None
    assert json.loads(bytes(letter.envelope.args)) == {"order": -5}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("5", 5),
        ("5.5", 5.5),
        ("five", "five"),
        ("null", None),
        ('{"a":[1]}', {"a": [1]}),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values_are_json_if_they_read_as_such_else_text(run: Run, shop: JobKit, given: str, value: Any) -> None:
    run("enqueue", "other", "--arg", f"x={given}", "--url", "sqlite:///shop.db")
    assert _waiting_arguments(shop) == {"x": value}


def _waiting_arguments(app: JobKit) -> Any:
    [delivery] = app.backend.transport.receive(["default"], limit=1, wait=0, lease=10, stop=threading.Event())
    return json.loads(delivery.message.body)["args"]


@pytest.mark.parametrize(("delay", "parked"), [("10m", False), ("30d", True)])
def test_a_delayed_job_waits_whether_the_broker_or_the_store_keeps_it(
    run: Run, shop: JobKit, delay: str, parked: bool
) -> None:
    done = run("enqueue", "other", "--delay", delay, "--url", "sqlite:///shop.db", "--json")
    assert json.loads(done.stdout).keys() == {"id", "type"}
    [figures] = shop.stats(["default"])
    assert (figures.ready, figures.delayed) == (0, 1)
    [in_broker] = shop.backend.transport.depth(["default"])
    assert in_broker.delayed == (0 if parked else 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--arg", "nothing"],
        ["--arg", "=1"],
        ["--arg", "a=1", "--arg", "a=2"],
        ["--delay", "soon"],
        ["--queue", "no queue"],
        ["--priority", "urgent"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(run: Run, directory: Path, arguments: list[str]) -> None:
    done = run("enqueue", "receipt", *arguments, "--url", "sqlite:///shop.db")
    assert done.exit_code == 2
    assert not (directory / "shop.db").exists()


def test_priority_picks_the_brokers_queue(run: Run, shop: JobKit) -> None:
    run("enqueue", "receipt", "--arg", "order=1", "--priority", "high", "--app", "shop:jobs")
    [depth] = shop.backend.transport.depth(["mail--high"])
    assert depth.ready == 1
