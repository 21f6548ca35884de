"""Real worker processes on each backend that runs here, in a namespace of the test's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobkit import config
from jobkit.url import Url
from tests.worker import app_under_test
from tests.worker.shop import Shop


def backend_urls() -> list[str]:
    return ["sqlite", "postgresql"]


@pytest.fixture(params=backend_urls())
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    url = _url(request.param, tmp_path)
    monkeypatch.setenv("JOBKIT_URL", url)
    monkeypatch.setenv("EFFECTS", str(tmp_path / "effects"))
    shop = Shop(url, tmp_path, app_under_test.jobs)
    shop.jobs.setup()
    yield shop
    for process in shop.processes:
        if process.poll() is None:
            shop.kill(process)
    shop.jobs.close()
    parsed = Url.parse(url)
    config.load_adapter(parsed).teardown(parsed)


def _url(kind: str, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder}/jobs.db"
    server = os.environ.get("JOBKIT_TEST_POSTGRES_URL")
    if not server:
        pytest.fail("JOBKIT_TEST_POSTGRES_URL is not set; run the tests with `make test`, which finds or starts a server")
    return f"{server}{'&' if '?' in server else '?'}namespace=test_{secrets.token_hex(6)}"
