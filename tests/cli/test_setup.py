"""``jobkit setup``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from jobkit import JobKit
from jobkit.errors import SetupRequired

Run = Callable[..., Result]


def test_it_tells_what_it_made_and_then_has_nothing_to_do(run: Run) -> None:
    first = run("setup", "--url", "sqlite:///new.db", "--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout)["changes"]
    again = run("setup", "--url", "sqlite:///new.db")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing to do" in again.stderr


def test_where_it_is_missing_the_command_to_run_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: JobKit, queues: object) -> None:
        raise SetupRequired("there are no tables")

    monkeypatch.setattr(JobKit, "stats", missing)
    done = run("stats", "--url", "sqlite:///new.db")
    assert done.exit_code == 3
    assert "run: jobkit setup" in done.stderr
