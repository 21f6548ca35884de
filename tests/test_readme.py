"""Everything that the README shows is run: its Python blocks in order, its console blocks with the output they promise."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobkit import config
from jobkit.url import Url

README = Path(__file__).parents[1] / "README.md"
SAMPLE_URL = "postgresql://postgres@localhost:5432/shop"

pytestmark = pytest.mark.checkout


def blocks() -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    server = os.environ.get("JOBKIT_TEST_POSTGRES_URL")
    if not server:
        pytest.fail("JOBKIT_TEST_POSTGRES_URL is not set; run the tests with `make test`")
    url = Url.parse(server).with_params(namespace=f"readme_{secrets.token_hex(4)}")
    yield url.text()
    config.load_adapter(url).teardown(url)


def test_the_readme_does_what_it_says(tmp_path: Path, postgres_url: str) -> None:
    shown: list[str] = []
    for language, text in blocks():
        if language == "python" and (name := re.match(r"# (\w+\.py)\n", text)):
            (tmp_path / name[1]).write_text(text)
        elif language == "python":
            shown.append(text)
        elif language == "console":
            _run_console(text.replace(SAMPLE_URL, postgres_url), tmp_path)
    (tmp_path / "readme.py").write_text("\n".join(shown))
    _run([sys.executable, "readme.py"], tmp_path)


def test_every_block_is_of_a_kind_that_is_run_or_is_a_make_command() -> None:
    for language, text in blocks():
        assert language in ("python", "console") or all(line.startswith("make ") for line in text.splitlines()), text


def _run_console(text: str, folder: Path) -> None:
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    promised = [line for line in text.splitlines() if not line.startswith("$ ")]
    output = _run(["bash", "-euc", "\n".join(commands)], folder)
    assert set(promised) <= set(output.splitlines()), output


def _run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBKIT_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
