"""``jobkit doctor``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import Result

import jobkit
from jobkit import config
from jobkit.adapter import Finding
from jobkit.cli.examination import backend
from jobkit.errors import Unavailable
from jobkit.sqlite import adapter as sqlite
from jobkit.url import Url

Run = Callable[..., Result]

Found = list[dict[str, str]]


def findings(done: Result, level: str = "") -> Found:
    told: Found = json.loads(done.stdout)["findings"]
    return [finding for finding in told if not level or finding["level"] == level]


def test_a_sound_installation_has_no_errors_and_nothing_is_made(run: Run, directory: Path) -> None:
    done = run("doctor", "--app", "shop:jobs", "--json")
    assert (done.exit_code, findings(done, "error")) == (0, [])
    assert not (directory / "shop.db").exists()
    assert {"installation", "adapters", "configuration", "app", "transport"} <= {f["subject"] for f in findings(done)}


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--app", "shop:jobs"], {}, "transport sqlite:///shop.db (the app's default)"),
        (["--app", "shop:jobs"], {"JOBKIT_URL": "sqlite:///e.db"}, "transport sqlite:///e.db (from JOBKIT_URL)"),
        (["--url", "sqlite:///u.db"], {"JOBKIT_URL": "sqlite:///e.db"}, "transport sqlite:///u.db (from --url)"),
        (["--app", "shop:jobs"], {}, "store sqlite:///shop.db (the transport's own)"),
        ([], {"JOBKIT_URL": "sqlite:///e.db", "JOBKIT_STORE_URL": "sqlite:///s.db"}, "(from JOBKIT_STORE_URL)"),
        (["--store", "sqlite:///t.db"], {"JOBKIT_URL": "sqlite:///e.db"}, "store sqlite:///t.db (from --store)"),
        (["--url", "sqlite:///u.db"], {"JOBKIT_STORE_URL": "sqlite:///s.db"}, "store sqlite:///u.db (the transport's own)"),
    ],
)
def test_it_says_which_url_is_in_force_and_why(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, str], told: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert told in run("doctor", *arguments).stdout


def test_no_backend_is_an_error_with_advice(run: Run) -> None:
    done = run("doctor", "--json")
    assert done.exit_code == 1
    [error] = findings(done, "error")
    assert "no backend" in error["what"]
    assert error["advice"]


@pytest.mark.parametrize("url", ["nosuch://host/x", "sqlite:///a.db?colour=red", "sqlite:///missing/a.db"])
def test_a_url_that_cannot_work_is_an_error(run: Run, url: str) -> None:
    done = run("doctor", "--url", url, "--json")
    assert done.exit_code == 1
    assert "transport" in {finding["subject"] for finding in findings(done, "error")}


def test_an_app_that_cannot_be_imported_is_an_error(run: Run) -> None:
    done = run("doctor", "--app", "shop:job", "--json")
    assert done.exit_code == 1
    assert "did you mean" in findings(done, "error")[0]["what"]


def test_an_app_without_handlers_is_a_warning(run: Run) -> None:
    done = run("doctor", "--app", "shop:empty", "--json")
    assert done.exit_code == 0
    assert "app" in {finding["subject"] for finding in findings(done, "warning")}


def test_a_setting_of_the_server_that_would_lose_jobs_fails_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sqlite), "check", lambda self, url: [Finding("error", "fsync = off", "set fsync = on")])
    done = run("doctor", "--url", "sqlite:///a.db")
    assert done.exit_code == 1
    assert "fsync = off" in done.stdout
    assert "→ set fsync = on" in done.stdout


def test_transport_and_store_are_looked_at_apart_where_they_are_two(run: Run) -> None:
    done = run("doctor", "--url", "sqlite:///a.db", "--store", "sqlite:///b.db", "--json")
    assert {"transport", "store"} <= {finding["subject"] for finding in findings(done)}


def test_a_backend_that_is_not_reached_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: object, url: Url) -> list[Finding]:
        raise Unavailable("connection refused")

    monkeypatch.setattr(type(sqlite), "check", check)
    done = run("doctor", "--url", "sqlite:///a.db", "--json")
    assert done.exit_code == 1
    assert findings(done, "error")[0]["what"] == "connection refused"


class FakeDistribution(metadata.Distribution):
    def __init__(self, name: str, version: str, *requires: str) -> None:
        self._text = "".join(
            [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", *(f"Requires-Dist: {r}\n" for r in requires)]
        )

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def also_installed(monkeypatch: pytest.MonkeyPatch, *fakes: FakeDistribution) -> None:
    real = metadata.Distribution.discover

    def discover(*, name: str | None = None, **others: object) -> Iterator[metadata.Distribution]:
        yield from (fake for fake in fakes if name in (None, fake.name))
        yield from real() if name is None else real(name=name)

    monkeypatch.setattr(metadata.Distribution, "discover", discover)


def test_a_foreign_distribution_of_our_import_name_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    also_installed(monkeypatch, FakeDistribution("jobkit", "0.0.3"))
    done = run("doctor", "--url", "sqlite:///a.db", "--json")
    assert done.exit_code == 1
    [error] = findings(done, "error")
    assert "foreign distribution 'jobkit' (0.0.3)" in error["what"]
    assert "pip uninstall jobkit" in error["advice"]


def test_an_adapter_of_another_version_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    also_installed(
        monkeypatch,
        FakeDistribution("jobkit-pigeon", "0.0.9", "jobkit-sdk==0.0.9"),
        FakeDistribution("jobkit-stranger", "7", "jobkit-sdk>=0.1"),
    )
    done = run("doctor", "--url", "sqlite:///a.db", "--json")
    assert done.exit_code == 1
    [error] = findings(done, "error")
    assert "jobkit-pigeon 0.0.9 belongs to jobkit-sdk 0.0.9" in error["what"]


def test_code_of_another_version_than_the_installed_one_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobkit, "__version__", "9.9.9")
    done = run("doctor", "--url", "sqlite:///a.db", "--json")
    assert done.exit_code == 1
    assert any("jobkit 9.9.9" in finding["what"] for finding in findings(done, "error"))


class StoreWithClock:
    """A store that knows nothing but the time."""

    def __init__(self, ahead: float) -> None:
        self._ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("ahead", "level", "told"), [(0.0, "ok", " s "), (90.0, "warning", "behind"), (-90.0, "warning", "ahead")]
)
def test_a_clock_that_differs_from_the_stores_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, ahead: float, level: str, told: str
) -> None:
    monkeypatch.setattr(config, "open_store", lambda url: StoreWithClock(ahead))
    [diagnosis] = backend.examine_clock(Url.parse("postgresql://db/jobs"))
    assert diagnosis.level == level
    assert told in diagnosis.what
