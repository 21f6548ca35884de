"""A third party joins with one short file."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SHORT = """
from jobkit_contract.clause import Plane
from jobkit_contract.testing import ContractTests

class TestMine(ContractTests):
    url = {url!r}
    planes = frozenset({{Plane.STORE}})
"""


def outcomes(pytester: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_mine=text)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--contract-seed=5", *arguments)


def test_one_short_file_is_enough(pytester: pytest.Pytester) -> None:
    result = outcomes(pytester, SHORT.format(url="memory://"), "-v")
    counts = result.parseoutcomes()
    assert set(counts) == {"passed"}
    assert counts["passed"] > 20
    result.stdout.fnmatch_lines(
        ["*contract-seed=5*", "*test_check?STO-1/one_of_many_creators_wins? PASSED*", "*test_verdict PASSED*"]
    )


def test_one_check_can_be_run_alone(pytester: pytest.Pytester) -> None:
    result = outcomes(pytester, SHORT.format(url="memory://"), "-k", "one_of_many_creators_wins")
    assert result.parseoutcomes()["passed"] == 1


FAULTY = """
from datetime import date
from jobkit_contract.clause import Plane
from jobkit_contract.harness import Harness
from jobkit_contract.testing import ContractTests
from jobkit_contract.waivers import Waiver

class TestFaulty(ContractTests):
    planes = frozenset({Plane.STORE})
    waivers = WAIVERS

    @classmethod
    def harness(cls) -> Harness:
        return Harness.of("memory://", adapter="jobkit_contract.mutants.bank:has_a_naive_clock")
"""


def test_a_fault_fails_its_check_and_the_verdict(pytester: pytest.Pytester) -> None:
    result = outcomes(pytester, FAULTY.replace("WAIVERS", "()"), "-k", "STO-5 or verdict")
    assert result.parseoutcomes()["failed"] == 2
    result.stdout.fnmatch_lines(["*now is datetime.datetime*which is not UTC*", "*Full is not reached*"])


def test_a_waived_failure_is_an_expected_one(pytester: pytest.Pytester) -> None:
    waiver = '(Waiver("STO-5", "a known fault", date(2999, 1, 1)),)'
    result = outcomes(pytester, FAULTY.replace("WAIVERS", waiver), "-k", "STO-5 or verdict", "-rx")
    counts = result.parseoutcomes()
    assert (counts["xfailed"], counts.get("failed", 0)) == (1, 0)
    result.stdout.fnmatch_lines(["*a known fault*"])


AWAY = """
from jobkit_contract.testing import ContractTests
from jobkit_contract.harness import Harness
from jobkit.errors import Unavailable
from jobkit.memory import MemoryAdapter

class Away(MemoryAdapter):
    def setup(self, url, queues):
        raise Unavailable("nobody is there")

adapter = Away()

class TestAway(ContractTests):
    @classmethod
    def harness(cls) -> Harness:
        return Harness.of("memory://", adapter=f"{__name__}:adapter")
"""


def test_an_unreachable_backend_fails_every_test(pytester: pytest.Pytester) -> None:
    counts = outcomes(pytester, AWAY).parseoutcomes()
    assert set(counts) == {"failed"}
