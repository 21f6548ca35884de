"""The first thing that anybody runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

APP = Path(__file__).parents[1] / "app.py"


def test_hello_world_needs_a_file_and_two_commands(tmp_path: Path) -> None:
    shutil.copy(APP, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBKIT_")}
    for arguments in (["app.py"], ["-m", "jobkit", "worker", "app:jobs", "--burst"]):
        command = [sys.executable, *arguments]
        said = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert said.returncode == 0, said.stderr
    assert "Hello, world!" in said.stdout
