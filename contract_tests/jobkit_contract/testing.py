"""
How a third party joins with pytest: one short file.

    from jobkit_contract.testing import ContractTests

    class TestMyBroker(ContractTests):
        url = "mybroker://localhost"

Every check that the manifest and the level ask for becomes one test, and the verdict another. The checks of a class
run side by side in the background, so that their waits overlap; each test shows what its own check came to.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from jobkit_contract.clause import Level, Plane, Status
from jobkit_contract.harness import Harness
from jobkit_contract.running import ClassRun
from jobkit_contract.waivers import Waiver


class ContractTests:
    """
    Subclass it, and say where the backend is. What is more than a URL goes into `harness`.

    Attributes:
        url: The transport's.
        store: The store's URL, if it is another backend.
        level: What the verdict must reach.
        planes: Only these, for a backend that is still being written.
        waivers: Known failures, each with a reason and the date on which the excuse ends.
    """

    url: ClassVar[str] = ""
    store: ClassVar[str] = ""
    level: ClassVar[str] = "full"
    planes: ClassVar[frozenset[Plane]] = frozenset(Plane)
    waivers: ClassVar[tuple[Waiver, ...]] = ()

    @classmethod
    def harness(cls) -> Harness:
        """What is tested. Called before anything runs; it does no I/O."""
        return Harness.of(cls.url, cls.store)

    @classmethod
    def asked_level(cls) -> Level:
        return Level.parse(cls.level)

    def test_check(self, contract_run: ClassRun, contract_check: str) -> None:
        """One check of the contract."""
        outcome = contract_run.outcome(contract_check)
        if outcome.status is Status.WAIVED:
            pytest.xfail(outcome.detail)
        if outcome.status not in (Status.PASS, Status.NOT_OFFERED):
            pytest.fail(f"{outcome.status.value}: {outcome.detail}", pytrace=False)

    def test_verdict(self, contract_run: ClassRun) -> None:
        """All that had to run has run, and the level is reached."""
        verdict = contract_run.verdict()
        if not verdict.reached:
            pytest.fail(f"{verdict.level} is not reached:\n" + "\n".join(verdict.reasons), pytrace=False)
