"""The public face as type checkers see it: every line of api.py is accepted, every marked line of refused.py is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "typing"
MARK = re.compile(r"  # type: ignore\[[a-z-]+\]$", re.MULTILINE)

pytestmark = pytest.mark.checkout


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """refused.py without its marks."""
    path = tmp_path_factory.mktemp("typing") / "refused.py"
    path.write_text(MARK.sub("", (FOLDER / "refused.py").read_text()))
    return path


def marked_lines() -> set[int]:
    lines = (FOLDER / "refused.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if MARK.search(line)}


def mypy(path: Path) -> tuple[set[int], str]:
    """The lines with errors, and what mypy says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", str(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = re.findall(rf"^\S*{path.name}:(\d+): error", run.stdout, re.MULTILINE)
    return {int(number) for number in found}, run.stdout


def basedpyright(path: Path, folder: Path) -> tuple[set[int], str]:
    """The same of basedpyright, in its standard mode."""
    project = folder / "pyrightconfig.json"
    settings = {
        "include": [str(path)],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
    }
    project.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = [one for one in json.loads(run.stdout)["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1 for one in found}, run.stdout


def test_mypy_accepts_every_line_of_the_api() -> None:
    lines, output = mypy(FOLDER / "api.py")
    assert not lines, output


def test_mypy_refuses_exactly_the_marked_lines(refused: Path) -> None:
    lines, output = mypy(refused)
    assert lines == marked_lines(), output


def test_basedpyright_accepts_every_line_of_the_api(tmp_path: Path) -> None:
    lines, output = basedpyright(FOLDER / "api.py", tmp_path)
    assert not lines, output


def test_basedpyright_refuses_exactly_the_marked_lines(refused: Path, tmp_path: Path) -> None:
    lines, output = basedpyright(refused, tmp_path)
    assert lines == marked_lines(), output
