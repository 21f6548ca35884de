"""The report for people: the verdict first, then what failed, then every clause, then what the backend offers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from jobkit.transport import LINE
from jobkit_contract import SUITE_VERSION
from jobkit_contract.clause import Status
from jobkit_contract.manifest import CAPABILITIES
from jobkit_contract.report.model import Report
from jobkit_contract.verdict import ClauseResult

WIDTH = 110
MARKS = {
    Status.PASS: "pass",
    Status.FAIL: "FAIL",
    Status.NOT_OFFERED: "not offered",
    Status.WAIVED: "waived",
    Status.NOT_RUN: "NOT RUN",
}


def as_text(report: Report) -> str:
    parts = [_head(report), _trouble(report), _clauses(report), _capabilities(report), _waivers(report), _foot(report)]
    return "\n\n".join(part for part in parts if part)


def _head(report: Report) -> str:
    planes = ", ".join(plane.value for plane in report.planes)
    store = f", store {report.harness.store_url}" if report.harness.store_url else ""
    return (
        f"jobkit contract {SUITE_VERSION}: {report.subject}\n"
        f"{report.harness.url}{store}  (planes: {planes})\n\n"
        f"Verdict  {report.headline}"
    )


def _trouble(report: Report) -> str:
    if report.unreachable:
        return f"The backend was not reached, so nothing ran: {report.unreachable}"
    return "\n\n".join(
        f"{MARKS[outcome.status]}  {outcome.check}\n{textwrap.indent(outcome.detail, '  ')}"
        for result in report.verdict.clauses
        for outcome in result.outcomes
        if outcome.status is Status.FAIL or (outcome.status is Status.NOT_RUN and not _still_to_come(report, outcome.check))
    )


def _still_to_come(report: Report, check: str) -> bool:
    return bool(report.terms.registry.checks[check].later)


def _clauses(report: Report) -> str:
    return "\n".join(line for result in report.verdict.clauses for line in _clause(report, result))


def _clause(report: Report, result: ClauseResult) -> Iterator[str]:
    sentence = textwrap.shorten(report.terms.registry.clauses[result.clause].sentence, WIDTH - 28, placeholder=" …")
    yield f"{result.clause:6} {MARKS[result.status]:11} {result.seconds:5.1f} s  {sentence}"
    notes: dict[str, list[str]] = {}
    for outcome in result.outcomes:
        if outcome.status not in (Status.PASS, Status.FAIL):
            notes.setdefault(f"{outcome.status.value}: {outcome.detail.partition(chr(10))[0]}", []).append(outcome.check)
    for note, checks in notes.items():
        name = checks[0].partition("/")[2].replace("_", " ")
        yield f"{'':27}{note} ({name if len(checks) == 1 else f'{len(checks)} checks'})"


def _capabilities(report: Report) -> str:
    manifest = report.terms.manifest
    known = [name for name in CAPABILITIES if manifest.known(name)]
    offered = ", ".join(name for name in known if manifest.offers(name)) or "none"
    missing = ", ".join(name for name in known if not manifest.offers(name)) or "none"
    figures = [
        f"{plane} {name} {value:g}"
        for plane, part in manifest.as_dict().items()
        for name, value in part.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    lines = (f"Offered      {offered}", f"Not offered  {missing}", f"Figures      {', '.join(figures)}")
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent=" " * 13) for line in lines)


def _waivers(report: Report) -> str:
    day = report.terms.today
    return "\n".join(
        f"Waiver {each.clause} until {each.until}{' (LAPSED)' if each.lapsed(day) else ''}: {each.reason}"
        for each in report.waivers
    )


def _foot(report: Report) -> str:
    counts = ", ".join(f"{report.verdict.count(status)} {status.value}" for status in Status if report.verdict.count(status))
    emulator = f", emulator {report.harness.emulator}" if report.harness.emulator else ""
    return (
        f"{counts or 'nothing ran'} in {report.seconds:.1f} s; seed {report.seed}; suite {SUITE_VERSION}, lines {LINE}; "
        f"{report.started:%Y-%m-%d %H:%M} UTC{emulator}"
    )
