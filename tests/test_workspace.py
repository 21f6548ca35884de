"""What must hold between the workspace's distributions: one version, clean wheels, imports in one direction."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobkit

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("adapters/*/pyproject.toml")), ROOT / "contract_tests/pyproject.toml"]

BROKER_CLIENTS = {"amqp", "asyncpg", "boto3", "botocore", "kombu", "pg8000", "psycopg", "redis", "sqlalchemy"}

THE_LINE = {
    "jobkit.adapter",
    "jobkit.clock",
    "jobkit.errors",
    "jobkit.store",
    "jobkit.transactional",
    "jobkit.transport",
    "jobkit.url",
}
"""All of jobkit that an adapter may know."""


def project(path: Path) -> dict[str, object]:
    table: dict[str, object] = tomllib.loads(path.read_text())["project"]
    return table


def package_of(path: Path) -> Path:
    """The folder of the import package that *path*, a pyproject.toml, puts into its wheel."""
    (name,) = tomllib.loads(path.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return path.parent / str(name)


def imports(file: Path) -> Iterator[str]:
    """The absolute names of the modules that *file* imports, wherever in it; `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports here are absolute, so that this test can read them"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def under(name: str, parents: set[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


@pytest.mark.checkout
@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: package_of(path).name)
def test_every_distribution_has_the_one_version_and_asks_for_the_same_of_the_others(path: Path) -> None:
    assert project(path)["version"] == jobkit.__version__
    ours = re.findall(r'"(jobkit-[a-z]+)(?:\[[^]]*\])?([^"\[]*)"', path.read_text())
    wanted = {f"{name}{version}" for name, version in ours if version}
    assert all(requirement.endswith(f"=={jobkit.__version__}") for requirement in wanted)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What each distribution's wheel holds, by the name of its package."""
    found = {}
    for path in PROJECTS:
        out = tmp_path_factory.mktemp("wheels")
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(path.parent)]
        subprocess.run(command, check=True, capture_output=True)
        (wheel,) = out.glob("*.whl")
        found[package_of(path).name] = set(zipfile.ZipFile(wheel).namelist())
    return found


@pytest.mark.checkout
@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: package_of(path).name)
def test_a_wheel_holds_its_own_package_whole_and_nothing_else(path: Path, wheels: dict[str, set[str]]) -> None:
    package = package_of(path)
    code = {name for name in wheels[package.name] if not name.split("/")[0].endswith(".dist-info")}
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", package.name]
    tracked = subprocess.run(listed, cwd=path.parent, check=True, capture_output=True, text=True).stdout
    assert code == {name for name in tracked.split("\0") if name and (path.parent / name).exists()}
    assert f"{package.name}/py.typed" in code


@pytest.mark.checkout
@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: package_of(path).name)
def test_what_a_wheel_imports_it_also_requires(path: Path) -> None:
    names = {name.split(".")[0] for file in sources(package_of(path)) for name in top_level_imports(file)}
    foreign = names - set(sys.stdlib_module_names) - {package_of(path).name}
    requirements = " ".join(map(str, project(path)["dependencies"]))  # type: ignore[call-overload]
    known = {"jobkit": "jobkit-sdk", "opentelemetry": "opentelemetry-api"}
    assert [name for name in foreign if known.get(name, name).replace("_", "-") not in requirements] == []


def top_level_imports(file: Path) -> Iterator[str]:
    """Imports that run as soon as the module is loaded; those inside functions serve what is optional."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_importing_jobkit_loads_no_broker_client() -> None:
    code = "import sys, jobkit; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "jobkit" in loaded.split()
    assert set(loaded.split()) & BROKER_CLIENTS == set()


@pytest.mark.checkout
def test_the_core_imports_no_distribution_that_stands_on_it() -> None:
    others = {package_of(path).name for path in PROJECTS} - {"jobkit"}
    found = {(file.name, name) for file in sources(ROOT / "jobkit") for name in imports(file) if under(name, others)}
    assert found == set()


def adapter_files() -> dict[str, list[Path]]:
    """The adapters' sources by package; those that ship inside jobkit keep the same rule."""
    own = {"jobkit.memory": [ROOT / "jobkit/memory.py"], "jobkit.sqlite": sources(ROOT / "jobkit/sqlite")}
    return own | {package_of(path).name: sources(package_of(path)) for path in PROJECTS[1:-1]}


@pytest.mark.checkout
@pytest.mark.parametrize("package", adapter_files())
def test_an_adapter_knows_nothing_of_jobkit_but_the_line(package: str) -> None:
    found = {
        (file.name, name)
        for file in adapter_files()[package]
        for name in imports(file)
        if under(name, {"jobkit"}) and name != "jobkit" and not under(name, THE_LINE | {package})
    }
    assert found == set()


@pytest.mark.checkout
def test_the_worker_never_imports_the_cli() -> None:
    files = sources(ROOT / "jobkit/worker")
    assert [file.name for file in files if any(under(name, {"jobkit.cli"}) for name in imports(file))] == []


@pytest.mark.checkout
def test_no_tracked_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    registries = ["py" + "pi.org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url"]
    places = [r"(^|[^A-Za-z0-9_.~/-])/" + name + "/" for name in ("work", "root")]
    pattern = "|".join([*map(re.escape, registries), *places])
    searched = ["git", "grep", "-nIE", "-e", pattern, "--", ".", ":!tests/test_workspace.py"]
    found = subprocess.run(searched, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, "")


SKIPPING = """
import pytest

@pytest.mark.skip(reason="not here")
def test_nothing() -> None: ...

def test_something() -> None: ...
"""


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_the_run_in_ci_only(ci: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env={"CI": ci, "PATH": ""}, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
