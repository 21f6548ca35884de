"""The distributions: one version of ours, no stranger under our import name, and commands that can be loaded."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, entry_points

import jobkit
from jobkit.cli import plugins
from jobkit.cli.examination.diagnosis import Diagnosis
from jobkit.cli.failures import Failure
from jobkit.config import ADAPTERS

OURS = "jobkit-sdk"
FOREIGN = "jobkit"
"""The name on the public index belongs to somebody else, whose files would lie among ours."""

_PINNED = re.compile(r"jobkit[-_.]sdk(?:\[[^]]*\])?\s*\(?==\s*([^\s;,)]+)", re.IGNORECASE)


def examine_installation() -> Iterator[Diagnosis]:
    yield from _own_version()
    yield from _foreign()
    yield from _other_versions()
    yield from _adapters()
    yield from _commands()


def _own_version() -> Iterator[Diagnosis]:
    what = f"jobkit {jobkit.__version__} on Python {platform.python_version()}"
    try:
        installed = distribution(OURS).version
    except PackageNotFoundError:
        advice = "pip install jobkit-sdk: without it no adapter is found"
        yield Diagnosis("error", "installation", f"{what}, and {OURS} is not installed", advice)
        return
    if installed == jobkit.__version__:
        yield Diagnosis("ok", "installation", what)
    else:
        yield Diagnosis("error", "installation", f"{what}, but {OURS} {installed} is installed", _reinstall())


def _foreign() -> Iterator[Diagnosis]:
    try:
        version = distribution(FOREIGN).version
    except PackageNotFoundError:
        return
    what = f"a foreign distribution {FOREIGN!r} ({version}) is installed, which is not this library"
    yield Diagnosis("error", "installation", what, f"pip uninstall {FOREIGN}, then {_reinstall()}")


def _reinstall() -> str:
    return f"pip install --force-reinstall {OURS}=={jobkit.__version__}"


def _other_versions() -> Iterator[Diagnosis]:
    """Our own distributions are released together, and each asks for exactly its version of the others."""
    for name, version, wanted in sorted(_pinning()):
        if wanted == jobkit.__version__:
            yield Diagnosis("ok", "installation", f"{name} {version}")
        else:
            what = f"{name} {version} belongs to {OURS} {wanted}, and this is {jobkit.__version__}"
            yield Diagnosis("error", "installation", what, f"pip install {name}=={jobkit.__version__}")


def _pinning() -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for installed in distributions():
        wanted = [pin.group(1) for text in installed.requires or () if (pin := _PINNED.match(text))]
        if wanted and _name(installed) != OURS:
            found.add((_name(installed), installed.version, wanted[0]))
    return found


def _name(installed: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", installed.name).lower()


def _adapters() -> Iterator[Diagnosis]:
    schemes = sorted({entry.name for entry in entry_points(group=ADAPTERS)})
    yield Diagnosis("ok", "adapters", ", ".join(f"{scheme}://" for scheme in schemes) or "none")


def _commands() -> Iterator[Diagnosis]:
    from jobkit.cli.root import main

    for name, entry in sorted(plugins.found().items()):
        if name in main.commands:
            what = f"{plugins.origin(entry)} adds a command {name!r}, which jobkit has itself"
            yield Diagnosis("warning", "commands", what, "it is never called; rename or remove it")
            continue
        try:
            plugins.load(name)
        except Failure as error:
            yield Diagnosis("warning", "commands", error.message, f"upgrade or remove {plugins.origin(entry)}")
        else:
            yield Diagnosis("ok", "commands", f"{name}, added by {plugins.origin(entry)}")
