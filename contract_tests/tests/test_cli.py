"""``jobkit contract URL``: what it prints and writes, and what its exit code says."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest
from click.testing import CliRunner, Result

from jobkit_contract import SUITE_VERSION
from jobkit_contract.cli import contract

QUICK = ("--clause", "SND-4", "--clause", "ORD-2")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(contract, arguments, env={"JOBKIT_URL": "", "JOBKIT_STORE_URL": ""})


def test_a_part_that_passes_is_no_verdict() -> None:
    result = call("memory://", *QUICK)
    assert result.exit_code == 3
    assert "no verdict: only a part of Full was asked for" in result.output
    assert "FAIL" not in result.output


def test_a_failure_is_exit_code_1_and_is_told_first() -> None:
    result = call("memory://", "--clause", "STO-5", "--adapter", "jobkit_contract.mutants.bank:has_a_naive_clock")
    assert result.exit_code == 1
    assert "FAIL  STO-5/the_stores_clock_is_aware_and_goes_on" in result.output
    assert result.output.index("FAIL  STO-5/") < result.output.index("Offered")


def test_a_level_with_checks_to_come_is_not_reached() -> None:
    result = call("memory://", "--level", "certified", "--clause", "SND-1")
    assert result.exit_code == 3
    assert "not run: it comes with the broker's restart" in result.output


def test_an_unreachable_backend_has_an_exit_code_of_its_own() -> None:
    result = call("memory://", "--adapter", "test_cli_away:adapter")
    assert result.exit_code == 4
    assert "the backend was not reached" in result.output
    assert "nobody is there" in result.output
    assert " pass " not in result.output


@pytest.fixture(autouse=True)
def an_adapter_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the module ``test_cli_away``."""
    import sys
    import types

    from jobkit.errors import Unavailable
    from jobkit.memory import MemoryAdapter

    class Away(MemoryAdapter):
        def setup(self, url: object, queues: object) -> list[object]:  # type: ignore[override]
            raise Unavailable("nobody is there")

    module = types.ModuleType("test_cli_away")
    module.adapter = Away()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_cli_away", module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a backend's URL"),
        (["memory://", "--clause", "XYZ-9"], "XYZ-9"),
        (["memory://?colour=red"], "colour"),
        (["nonsense"], "no scheme"),
        (["nosuch://host"], "nosuch"),
        (["--explain", "XYZ-9"], "XYZ-9"),
        (["memory://", "--level", "perfect"], "perfect"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_what_was_wrong(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_the_json_report_holds_the_verdict_and_what_it_rests_on(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    call("memory://", "--clause", "SND-6", "--clause", "SND-4", "--seed", "42", "--emulator", "toy", "--json", str(file))
    report = json.loads(file.read_text())
    assert (report["format"], report["suite"], report["line"], report["seed"]) == (1, SUITE_VERSION, 1, 42)
    assert (report["level"], report["reached"], report["partial"], report["unreachable"]) == ("full", False, True, None)
    assert (report["url"], report["store_url"], report["emulator"]) == ("memory://", None, "toy")
    assert report["backend"] == "memory (emulator: toy)"
    assert report["capabilities"]["transport"]["durable"] is False
    assert report["capabilities"]["store"]["max_value"] > 0
    clauses = {clause["id"]: clause for clause in report["clauses"]}
    assert list(clauses) == ["SND-4", "SND-6", "CAP-2"]
    assert clauses["SND-6"]["status"] == "not offered"
    assert clauses["SND-4"]["status"] == "pass"
    assert {"id", "status", "seconds", "detail"} == set(clauses["SND-4"]["checks"][0])


def test_the_url_is_masked_wherever_it_is_shown(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "a.xml"]
    adapter = "test_cli_away:adapter"
    result = call("memory://me:secret@host", "--adapter", adapter, "--json", str(files[0]), "--junit", str(files[1]))
    for text in (result.output, *(file.read_text() for file in files)):
        assert "secret" not in text
        assert "me:***@host" in text


def test_the_junit_report_has_a_case_per_check_and_no_silent_skip(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    call("memory://", "--level", "certified", "--clause", "SND-1", "--clause", "SND-6", "--junit", str(file))
    suite = parse(file).getroot()
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "1", "6")
    cases = {f"{case.get('classname')}/{case.get('name')}": case for case in suite.iter("testcase")}
    assert cases["SND-1/what_was_sent_survives_a_hard_kill"].find("error") is not None
    assert cases["CAP-2/undeclared_transactions_are_refused"].find("skipped") is None


def test_the_markdown_row_has_as_many_cells_as_its_header() -> None:
    from jobkit_contract.report.markdown import HEADER

    row = call("memory://", *QUICK, "--markdown").output.strip()
    assert row.count("|") == HEADER.splitlines()[0].count("|") == HEADER.splitlines()[1].count("|")
    assert row.startswith("| memory | no verdict")


def test_waivers_are_shown_in_the_report(tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text('[[waiver]]\nclause = "STO-5"\nreason = "known"\nuntil = 2999-12-31\n')
    adapter = "jobkit_contract.mutants.bank:has_a_naive_clock"
    result = call("memory://", "--clause", "STO-5", "--adapter", adapter, "--waivers", str(file))
    assert result.exit_code == 3
    assert "Waiver STO-5 until 2999-12-31: known" in result.output
    assert "1 waived" in result.output


def test_explain_says_the_sentence_the_reason_and_the_checks() -> None:
    result = call("--explain", "DLV-5")
    assert result.exit_code == 0
    assert "MUST never hold the same job" in result.output
    assert "DLV-5/many_receivers_never_hold_the_same_message" in result.output
    everything = call("--explain", "all").output
    assert "RTY-5" in everything


def test_a_clause_that_nobody_checks_is_shown() -> None:
    """The list may be longer than what is tested, but not in silence."""
    result = call("memory://", "--clause", "SND-1", "--level", "certified")
    assert result.exit_code == 3
    assert "NOT RUN" in result.output
