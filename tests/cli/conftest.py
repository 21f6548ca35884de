"""A small shop in a directory of its own, and the command to look after it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobkit import JobKit
from jobkit.cli import main
from jobkit.worker.engine import Engine
from jobkit.worker.loading import load_app
from jobkit.worker.settings import Settings
from jobkit.worker.workshop import Workshop

SHOP = '''
from jobkit import Dead, JobKit

jobs = JobKit(default="sqlite:///shop.db")
bare = JobKit()
empty = JobKit(default="sqlite:///shop.db")


def make() -> JobKit:
    return jobs


@jobs.handler(queue="mail")
def receipt(order: int, note: str = "") -> None:
    """Send a receipt."""


@jobs.handler(queue="money", track=True)
def charge(order: int) -> int:
    if order < 0:
        raise Dead(f"order {order} is refused")
    return order * 100
'''

Run = Callable[..., Result]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with the shop's module; the environment names no backend."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("JOBKIT_URL", "JOBKIT_STORE_URL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    sys.modules.pop("shop", None)
    yield tmp_path
    sys.modules.pop("shop", None)


@pytest.fixture
def run(directory: Path) -> Run:
    """Run ``jobkit`` with these arguments."""

    def invoke(*arguments: str, **extra: str) -> Result:
        return CliRunner().invoke(main, list(arguments), **extra)  # type: ignore[arg-type]

    return invoke


@pytest.fixture
def shop(directory: Path) -> Iterator[JobKit]:
    """The shop's app, as the commands see it too."""
    with load_app("shop:jobs") as app:
        yield app


@pytest.fixture
def work(shop: JobKit) -> Callable[[], None]:
    """Do everything that is waiting."""
    return lambda: Engine(Workshop(shop, Settings(burst=True, concurrency=1))).run()


@pytest.fixture
def dead_ones(shop: JobKit, work: Callable[[], None]) -> list[str]:
    """Three refused charges, oldest first."""
    handler = shop.get("charge")
    for order in (-1, -2, -3):
        handler.enqueue(order)
    work()
    return [entry.id for entry in shop.dead.list()]


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to be asked."""
    monkeypatch.setattr("jobkit.cli.confirmation.somebody_is_there", lambda: True)
