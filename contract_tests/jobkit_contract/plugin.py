"""
Joins the contract suite to pytest. See `jobkit_contract.testing`.

Loaded in every pytest run beside an installed suite, so it imports nothing else of it until a test class asks for it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobkit_contract.running import ClassRun

SEED = pytest.StashKey[int]()
RUNS = pytest.StashKey["dict[type, ClassRun]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jobkit contract")
    group.addoption("--contract-seed", type=int, help="The seed of the contract's random parts.")


def pytest_configure(config: pytest.Config) -> None:
    seed = config.getoption("--contract-seed")
    config.stash[SEED] = random.SystemRandom().randrange(10**9) if seed is None else seed
    config.stash[RUNS] = {}


def pytest_report_header(config: pytest.Config) -> str:
    return f"jobkit contract: --contract-seed={config.stash[SEED]}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per check that the class's manifest and level ask for."""
    if "contract_check" in metafunc.fixturenames and metafunc.cls is not None:
        from jobkit_contract.running import checks_of

        metafunc.parametrize("contract_check", checks_of(metafunc.cls))


@pytest.fixture
def contract_run(request: pytest.FixtureRequest) -> ClassRun:
    """The run of the class that asks; the first of its tests starts it, for all of them that were selected."""
    from jobkit_contract.running import ClassRun

    runs = request.config.stash[RUNS]
    if request.cls not in runs:
        runs[request.cls] = ClassRun(request.cls, _wanted(request), request.config.stash[SEED])
    return runs[request.cls]


def _wanted(request: pytest.FixtureRequest) -> set[str] | None:
    """The checks of the selected tests of one class; None for all of them, if its verdict is among those."""
    own = [item for item in request.session.items if getattr(item, "cls", None) is request.cls]
    if any("contract_check" not in getattr(item, "fixturenames", ()) for item in own):
        return None
    return {str(item.callspec.params["contract_check"]) for item in own if isinstance(item, pytest.Function)}
