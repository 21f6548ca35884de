"""``jobkit stats``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from jobkit import JobKit
from jobkit.stats import QueueStats

Run = Callable[..., Result]

KEYS = ["queue", "ready", "delayed", "leased", "dead", "oldest_age"]


def test_json_has_exactly_these_figures_for_each_queue(run: Run, shop: JobKit) -> None:
    shop.get("receipt").enqueue(1)
    told = json.loads(run("stats", "--app", "shop:jobs", "--json").stdout)
    assert list(told) == ["queues", "workers"]
    assert [list(queue) for queue in told["queues"]] == [KEYS, KEYS]
    mail, money = told["queues"]
    assert (mail["queue"], mail["ready"], money["queue"], money["ready"]) == ("mail", 1, "money", 0)
    assert mail["oldest_age"] >= 0
    assert money["oldest_age"] is None


def test_what_a_broker_cannot_tell_is_null_and_a_dash(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = QueueStats(queue="mail", ready=None, delayed=None, leased=None, dead=0, oldest_age=None)
    monkeypatch.setattr(JobKit, "stats", lambda self, queues: [unknown])
    told = json.loads(run("stats", "--app", "shop:jobs", "--json").stdout)
    assert told["queues"] == [dict.fromkeys(KEYS, None) | {"queue": "mail", "dead": 0}]
    assert run("stats", "--app", "shop:jobs").stdout.splitlines()[1].split() == ["mail", "-", "-", "-", "0", "-"]


def test_only_the_named_queues_are_told(run: Run) -> None:
    told = run("stats", "--queue", "a", "--queue", "b", "--url", "sqlite:///shop.db", "--json")
    assert [queue["queue"] for queue in json.loads(told.stdout)["queues"]] == ["a", "b"]


def test_columns_are_aligned(run: Run) -> None:
    header, *rows = run("stats", "--app", "shop:jobs").stdout.splitlines()
    assert header.split() == ["QUEUE", "READY", "DELAYED", "LEASED", "DEAD", "OLDEST", "AGE"]
    assert {row.rindex("0") for row in rows[:2]} == {header.index("DEAD") + len("DEAD") - 1}


def test_workers_are_told_with_their_counters_by_type(run: Run, dead_ones: list[str]) -> None:
    told = json.loads(run("stats", "--app", "shop:jobs", "--json").stdout)
    [worker] = told["workers"]
    assert worker["types"]["charge"]["dead"] == 3
    text = run("stats", "--app", "shop:jobs").stdout
    [line] = [line for line in text.splitlines() if " charge " in line]
    assert line.split()[:5] == [worker["id"], "charge", "0", "0", "3"]


def test_an_empty_backend_has_no_data_to_print(run: Run) -> None:
    told = run("stats", "--url", "sqlite:///shop.db")
    assert (told.exit_code, told.stdout) == (0, "")
    assert "no queue is known" in told.stderr
