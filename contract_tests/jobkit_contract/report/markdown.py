"""The report as one row of the public table."""

from __future__ import annotations

from jobkit_contract import SUITE_VERSION
from jobkit_contract.clause import Status
from jobkit_contract.report.model import Report

COLUMNS = ("backend", "verdict", "pass", "fail", "not offered", "waived", "not run", "suite", "date")
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def as_markdown(report: Report) -> str:
    """The row alone; `HEADER` goes above the first one."""
    order = (Status.PASS, Status.FAIL, Status.NOT_OFFERED, Status.WAIVED, Status.NOT_RUN)
    counts = [str(report.verdict.count(status)) for status in order]
    cells = [report.subject, report.headline, *counts, SUITE_VERSION, report.started.date().isoformat()]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
