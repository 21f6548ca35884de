"""The demo as a whole, as a user runs it: it must add up, and say so if it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from examples.orders import database
from jobkit.url import Url

LOSE_AN_INVOICE = """
import sys
from examples.orders import __main__ as demo

def read_books(engine, places, read=demo.read_books):
    min(places.invoices.iterdir()).unlink()
    return read(engine, places)

demo.read_books = read_books
sys.exit(demo.main())
"""

ROOT = Path(__file__).parents[3]
POSTGRES = "JOBKIT_TEST_POSTGRES_URL"


def run_demo(
    folder: Path, *options: str, url: str | None = None, program: Sequence[str] = ("-m", "examples.orders")
) -> subprocess.CompletedProcess[str]:
    """The demo in a process of its own, with its files in *folder*."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBKIT_")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | ({"JOBKIT_URL": url} if url else {})
    command = [sys.executable, *program, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110)


def check_story(demo: subprocess.CompletedProcess[str]) -> None:
    """What every good run of 300 lines says."""
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "payment refused: card expired" in demo.stdout
    assert "503: the customer's bank does not answer" in demo.stdout
    assert "an order of no CDs" in demo.stdout
    assert "302  orders in the shop's table" in demo.stdout
    assert "The books balance" in demo.stdout


def test_the_books_balance_on_sqlite(tmp_path: Path) -> None:
    check_story(run_demo(tmp_path, "--orders=300"))
    assert len(list((tmp_path / "demo-data" / "invoices").iterdir())) == 302


def test_a_missing_invoice_makes_the_demo_fail(tmp_path: Path) -> None:
    demo = run_demo(tmp_path, "--orders=20", program=("-c", LOSE_AN_INVOICE))
    assert demo.returncode == 1, demo.stdout + demo.stderr
    assert "The books do not balance: 1 invoices are missing, such as for CDNOW_sample-00001" in demo.stdout


@pytest.fixture
def postgres() -> Iterator[str]:
    """A URL with a namespace of its own, gone afterwards."""
    if POSTGRES not in os.environ:
        pytest.skip(f"{POSTGRES} is not set")
    url = Url.parse(os.environ[POSTGRES]).with_params(namespace=f"demo_{uuid.uuid4().hex[:12]}")
    yield url.text()
    engine = database.engine(url)
    with engine.begin() as connection:
        for schema in (database.schema(url), url.params["namespace"]):
            connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
    engine.dispose()


def test_the_books_balance_on_postgres(tmp_path: Path, postgres: str) -> None:
    check_story(run_demo(tmp_path, "--orders=300", url=postgres))
