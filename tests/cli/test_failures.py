"""Exit codes, and what errors show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

import jobkit
from jobkit import JobKit
from jobkit.cli import main
from jobkit.cli.failures import EXPLAINED, exit_code
from jobkit.errors import JobKitError

Run = Callable[..., Result]

SECRET = "correct-horse/battery"
QUOTED = "correct-horse%2Fbattery"

COMMANDS = [
    ["worker", "shop:jobs", "--burst"],
    ["enqueue", "receipt", "--arg", "order=1", "--app", "shop:jobs"],
    ["enqueue", "receipt"],
    ["stats"],
    ["stats", "--json"],
    ["status", "an-id"],
    ["dead", "list"],
    ["dead", "show", "an-id"],
    ["dead", "replay", "an-id"],
    ["dead", "purge", "--all", "--yes"],
    ["purge", "mail", "--yes"],
    ["setup"],
    ["doctor"],
    ["doctor", "--json"],
]

URLS = [
    f"postgresql://me:{QUOTED}@127.0.0.1:9/jobs",
    f"postgresql://me:{QUOTED}@127.0.0.1:9/jobs?colour=red",
    f"postgresql://me:{SECRET}@127.0.0.1:9/jobs",
    f"postgresql://me:{QUOTED}@127.0.0.1:port/jobs",
    f"nosuch://me:{QUOTED}@127.0.0.1:9/jobs",
    f"sqlite://me:{QUOTED}@here/jobs.db",
]


def assert_no_secret(done: Result) -> None:
    for secret in (SECRET, QUOTED, "battery"):
        assert secret not in done.output


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("command", [command for command in COMMANDS if command[0] != "worker"], ids=" ".join)
def test_no_command_shows_a_password_when_it_fails(run: Run, command: list[str], url: str) -> None:
    done = run(*command, "--url", url)
    assert done.exit_code in ({1} if command[0] == "doctor" else {3, 4})
    assert_no_secret(done)
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", [command for command in COMMANDS if command[0] != "worker"], ids=" ".join)
def test_nor_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("JOBKIT_URL", "sqlite:///shop.db")
    monkeypatch.setenv("JOBKIT_STORE_URL", URLS[0])
    assert_no_secret(run(*command))


def test_nor_in_complaints_about_usage(run: Run) -> None:
    done = run("stats", URLS[2])
    assert done.exit_code == 2
    assert_no_secret(done)
    assert_no_secret(run(URLS[0]))


def test_nor_where_a_driver_repeats_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stats(self: JobKit, queues: object) -> None:
        raise JobKitError(f"password={SECRET} was refused")

    monkeypatch.setattr(JobKit, "stats", stats)
    done = run("stats", "--url", URLS[0])
    assert done.exit_code == 1
    assert_no_secret(done)


def test_nor_in_the_traceback_of_a_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stats(self: JobKit, queues: object) -> None:
        raise ZeroDivisionError(f"password={SECRET}")

    monkeypatch.setattr(JobKit, "stats", stats)
    done = run("stats", "--url", URLS[0])
    assert done.exit_code == 1
    assert "ZeroDivisionError" in done.stderr
    assert_no_secret(done)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["stats", "--url", "sqlite:///a.db"], 0),
        (["stats", "--colour"], 2),
        (["statz"], 2),
        (["status"], 2),
        (["stats"], 3),
        (["stats", "--url", "nosuch://"], 3),
        (["stats", "--app", "shop:job"], 3),
        (["stats", "--app", "no_such_module"], 3),
        (["stats", "--app", "shop:make"], 3),
        (["stats", "--url", "postgresql://me@127.0.0.1:9/jobs"], 4),
        (["status", "an-id", "--url", "sqlite:///a.db"], 5),
        (["worker", "shop:jobs", "--concurrency", "0"], 2),
        (["worker", "shop:jobs", "--lease", "0.1"], 2),
        (["worker", "shop:jobs", "--queue", "a.b"], 2),
        (["worker"], 2),
    ],
)
def test_exit_codes_say_what_kind_of_failure_it_was(run: Run, arguments: list[str], code: int) -> None:
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert (done.stdout == "") or code == 0


def test_an_unknown_option_names_the_nearest(run: Run) -> None:
    assert "--queue" in run("stats", "--queu", "a").stderr


def test_an_app_that_raises_when_imported_is_shown_whole(run: Run, directory: Path) -> None:
    (directory / "faulty.py").write_text("1 / 0\n")
    done = run("stats", "--app", "faulty:jobs")
    assert done.exit_code == 3
    assert "ZeroDivisionError" in done.stderr
    assert "faulty.py" in done.stderr


def test_an_apps_factory_is_called_if_it_is_said_to_be_one(run: Run) -> None:
    assert run("stats", "--app", "shop:make", "--factory").exit_code == 0


def test_an_app_without_a_backend_gets_it_from_the_command_line(run: Run) -> None:
    assert run("stats", "--app", "shop:bare").exit_code == 3
    assert run("stats", "--app", "shop:bare", "--url", "sqlite:///a.db").exit_code == 0


def test_every_error_of_jobkit_has_an_exit_code_that_is_explained() -> None:
    kinds = [value for value in vars(jobkit.errors).values() if isinstance(value, type) and issubclass(value, JobKitError)]
    codes = {exit_code(kind.__new__(kind)) for kind in kinds}
    assert codes <= set(EXPLAINED)


def test_help_and_documentation_list_all_exit_codes(run: Run) -> None:
    shown = run("--help").stdout
    for code, meaning in EXPLAINED.items():
        assert f"{code}  {meaning}" in shown


@pytest.mark.checkout
def test_the_documentation_names_every_command_and_exit_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for code, meaning in EXPLAINED.items():
        assert f"| {code} | {meaning} |" in text
    for path in command_paths(main):
        assert f"jobkit {path}" in text


def command_paths(group: click.Group, before: str = "") -> list[str]:
    paths: list[str] = []
    for name, command in group.commands.items():
        nested = command_paths(command, f"{before}{name} ") if isinstance(command, click.Group) else [f"{before}{name}"]
        paths.extend(nested)
    return paths
