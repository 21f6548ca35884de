"""``jobkit purge``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from jobkit import JobKit

Run = Callable[..., Result]

APP = ("--app", "shop:jobs")


@pytest.fixture
def two_receipts(shop: JobKit) -> JobKit:
    shop.enqueue_many([shop.get("receipt").new(order) for order in (1, 2)])
    return shop


def test_it_removes_what_waits_of_every_priority(run: Run, two_receipts: JobKit) -> None:
    two_receipts.get("receipt").using(priority="high").enqueue(3)
    done = run("purge", "mail", "--yes", *APP, "--json")
    assert json.loads(done.stdout) == {"queue": "mail", "removed": 3}
    assert two_receipts.stats(["mail"])[0].ready == 0


def test_without_a_person_to_ask_it_needs_yes(run: Run, two_receipts: JobKit) -> None:
    done = run("purge", "mail", *APP)
    assert done.exit_code == 2
    assert "2 jobs" in done.stderr
    assert two_receipts.stats(["mail"])[0].ready == 2


def test_a_person_is_asked(run: Run, two_receipts: JobKit, at_a_terminal: None) -> None:
    assert run("purge", "mail", *APP, input="n\n").exit_code == 1
    assert two_receipts.stats(["mail"])[0].ready == 2
    assert run("purge", "mail", *APP, input="y\n").stdout == "removed 2 jobs from mail\n"


def test_a_dry_run_only_counts(run: Run, two_receipts: JobKit) -> None:
    done = run("purge", "mail", "--dry-run", *APP)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "would remove 2 jobs" in done.stderr
    assert two_receipts.stats(["mail"])[0].ready == 2


def test_what_the_broker_cannot_count_is_said(run: Run, shop: JobKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobKit, "purge", lambda self, queue: None)
    assert "cannot count" in run("purge", "mail", "--yes", *APP).stdout
    assert json.loads(run("purge", "mail", "--yes", *APP, "--json").stdout)["removed"] is None


def test_a_name_that_no_queue_can_have_is_wrong_usage(run: Run, shop: JobKit) -> None:
    assert run("purge", "a.b", "--yes", *APP).exit_code == 2
