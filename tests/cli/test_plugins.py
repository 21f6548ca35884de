"""Commands that other distributions add."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import Result

from jobkit.cli import plugins

Run = Callable[..., Result]

GREETING = """
import click
from jobkit.errors import Unavailable

@click.command()
def hello() -> None:
    click.echo("hello")

@click.command()
def gone() -> None:
    raise Unavailable("postgresql://me:hunter22@host is gone")

def plain() -> None: ...
"""


@pytest.fixture(autouse=True)
def added(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "greeting.py").write_text(GREETING)
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, "greeting", raising=False)
    values = {
        "hello": "greeting:hello",
        "gone": "greeting:gone",
        "plain": "greeting:plain",
        "broken": "no_such_module:x",
        "stats": "greeting:hello",
    }
    entries = [EntryPoint(name, value, plugins.COMMANDS) for name, value in values.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)


def test_an_added_command_runs(run: Run) -> None:
    assert run("hello").stdout == "hello\n"


def test_help_lists_them_without_importing_any(run: Run) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert "hello" in shown.stdout
    assert "broken" in shown.stdout
    assert "greeting" not in sys.modules


def test_a_broken_one_is_reported_and_others_go_on_working(run: Run) -> None:
    done = run("broken")
    assert done.exit_code == 3
    assert "'broken', added by no_such_module:x, cannot be loaded" in done.stderr
    assert run("plain").exit_code == 3
    assert run("stats", "--url", "sqlite:///a.db").exit_code == 0


def test_its_errors_are_told_as_ours_are(run: Run) -> None:
    done = run("gone")
    assert done.exit_code == 4
    assert "hunter22" not in done.output


def test_ours_wins_over_one_of_the_same_name_and_the_doctor_tells(run: Run) -> None:
    assert run("stats", "--url", "sqlite:///a.db").stdout != "hello\n"
    told = run("doctor", "--url", "sqlite:///a.db")
    assert told.exit_code == 0
    assert "which jobkit has itself" in told.stdout
    assert "'broken', added by no_such_module:x, cannot be loaded" in told.stdout
