"""The report as JUnit XML, one test case per check. A check that had to run and did not is an error there, never a skip."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from jobkit_contract import SUITE_VERSION
from jobkit_contract.clause import Status
from jobkit_contract.report.model import Report
from jobkit_contract.verdict import ClauseResult, Outcome

TAGS = {Status.FAIL: "failure", Status.NOT_RUN: "error", Status.NOT_OFFERED: "skipped"}


def as_junit(report: Report) -> str:
    pairs = [(result, outcome) for result in report.verdict.clauses for outcome in result.outcomes]
    statuses = [_status(result, outcome) for result, outcome in pairs]
    suite = Element(
        "testsuite",
        name=f"jobkit-contract {SUITE_VERSION} {report.verdict.level} {report.subject}",
        tests=str(len(pairs)),
        failures=str(statuses.count(Status.FAIL)),
        errors=str(statuses.count(Status.NOT_RUN)),
        skipped=str(sum(status in (Status.NOT_OFFERED, Status.WAIVED) for status in statuses)),
        time=f"{report.seconds:.3f}",
        timestamp=report.started.isoformat(timespec="seconds"),
    )
    properties = SubElement(suite, "properties")
    for name, value in (("verdict", report.headline), ("seed", str(report.seed)), ("url", str(report.harness.url))):
        SubElement(properties, "property", name=name, value=value)
    for result, outcome in pairs:
        _case(suite, result, outcome)
    indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suite, encoding="unicode") + "\n"


def _status(result: ClauseResult, outcome: Outcome) -> Status:
    waived = result.status is Status.WAIVED and outcome.status is Status.FAIL
    return Status.WAIVED if waived else outcome.status


def _case(suite: Element, result: ClauseResult, outcome: Outcome) -> None:
    clause, _, name = outcome.check.partition("/")
    case = SubElement(suite, "testcase", classname=clause, name=name, time=f"{outcome.seconds:.3f}")
    status = _status(result, outcome)
    if status is Status.WAIVED and result.waiver:
        SubElement(case, "skipped", message=f"waived until {result.waiver.until}: {result.waiver.reason}")
    elif status in TAGS:
        first, _, rest = _printable(outcome.detail).partition("\n")
        SubElement(case, TAGS[status], message=first).text = rest or None


def _printable(text: str) -> str:
    """XML 1.0 can not carry control characters, not even escaped."""
    return "".join(char if char >= " " or char in "\n\t" else "�" for char in text)
