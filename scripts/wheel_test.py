"""
Run the tests on the wheels in dist/, as a user would have them: installed, with no source in reach.

Everything of the checkout but the packages is copied to a temporary folder,
and the wheels go into a fresh environment with the locked dependencies. A file
that is missing from a wheel, or an import that only works in the checkout,
fails here and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jobkit/", "adapters/*/jobkit_*/", "contract_tests/jobkit_contract/")
WHERE = """
import importlib, pathlib, sys
for name in sys.argv[1:]:
    file = pathlib.Path(importlib.import_module(name).__file__)
    assert "site-packages" in file.parts, f"{name} comes from {file}, not from its wheel"
    print(f"{name} comes from its wheel")
"""


def packages() -> Iterator[Path]:
    """The import packages' folders in the checkout."""
    for pattern in PACKAGES:
        yield from (folder for folder in ROOT.glob(pattern) if (folder / "__init__.py").exists())


def copy_checkout(target: Path) -> None:
    """Copy what git knows or would take, without the packages."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    left_out = tuple(f"{folder.relative_to(ROOT)}/" for folder in packages())
    for name in filter(None, names):
        if not name.startswith(left_out) and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def build_environment(folder: Path) -> Path:
    """A fresh environment with the locked dependencies and the wheels; returns its python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements" / "dev.txt"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-index", *sorted((ROOT / "dist").glob("*.whl"))], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def main(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="jobkit-wheels-") as name:
        tree = Path(name) / "tests-only"
        tree.mkdir()
        copy_checkout(tree)
        python = build_environment(Path(name) / "venv")
        names = [folder.name for folder in packages()]
        subprocess.run([python, "-c", WHERE, *names], cwd=tree, check=True)
        tests: list[str | Path] = [python, "-m", "pytest", "-m", "not checkout", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        services: list[str | Path] = [python, "-m", "scripts.services", "run", "--"]
        return subprocess.run([*services, *tests], cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
