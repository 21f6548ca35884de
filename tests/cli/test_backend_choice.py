"""Which backend a command talks to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from jobkit import config

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "environment", "made"),
    [
        (["--app", "shop:jobs"], {}, {"shop.db"}),
        (["--app", "shop:jobs"], {"JOBKIT_URL": "sqlite:///env.db"}, {"env.db"}),
        (["--app", "shop:jobs", "--url", "sqlite:///option.db"], {"JOBKIT_URL": "sqlite:///env.db"}, {"option.db"}),
        (["--url", "sqlite:///a.db", "--store", "sqlite:///b.db"], {}, {"a.db", "b.db"}),
        (["--store", "sqlite:///b.db"], {"JOBKIT_URL": "sqlite:///env.db"}, {"env.db", "b.db"}),
        (["--url", "sqlite:///a.db"], {"JOBKIT_STORE_URL": "sqlite:///env.db"}, {"a.db"}),
    ],
)
def test_the_option_wins_over_the_environment_which_wins_over_the_app(
    run: Run,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    made: set[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("setup", *arguments).exit_code == 0
    assert {path.name for path in directory.glob("*.db")} == made


def test_without_any_there_is_none_and_no_file_is_made(run: Run, directory: Path) -> None:
    done = run("enqueue", "receipt")
    assert done.exit_code == 3
    assert "--url" in done.stderr
    assert "JOBKIT_URL" in done.stderr
    assert not list(directory.glob("*.db*"))


def test_the_environment_is_as_before_after_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.STORE_VARIABLE, "sqlite:///store.db")
    run("stats", "--url", "sqlite:///a.db")
    assert config.URL_VARIABLE not in os.environ
    assert os.environ[config.STORE_VARIABLE] == "sqlite:///store.db"
