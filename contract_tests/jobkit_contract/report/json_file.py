"""The report as JSON. Its shape is versioned; fields may be added, none changes its meaning."""

from __future__ import annotations

import json
from typing import Any

from jobkit.transport import LINE
from jobkit_contract import SUITE_VERSION
from jobkit_contract.report.model import Report
from jobkit_contract.verdict import ClauseResult

FORMAT = 1


def as_json(report: Report) -> str:
    return json.dumps(as_dict(report), indent=2, ensure_ascii=False) + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """Plain data. URLs are masked."""
    return {
        "format": FORMAT,
        "suite": SUITE_VERSION,
        "line": LINE,
        "url": str(report.harness.url),
        "store_url": str(report.harness.store_url) if report.harness.store_url else None,
        "backend": report.subject,
        "emulator": report.harness.emulator or None,
        "level": report.verdict.level.name.lower(),
        "planes": [plane.value for plane in report.planes],
        "reached": report.reached,
        "partial": report.partial,
        "unreachable": report.unreachable or None,
        "reasons": list(report.verdict.reasons),
        "seed": report.seed,
        "started": report.started.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "capabilities": report.terms.manifest.as_dict(),
        "clauses": [_clause(report, result) for result in report.verdict.clauses],
        "waivers": [
            {"clause": each.clause, "reason": each.reason, "until": each.until.isoformat()} for each in report.waivers
        ],
    }


def _clause(report: Report, result: ClauseResult) -> dict[str, Any]:
    clause = report.terms.registry.clauses[result.clause]
    return {
        "id": clause.id,
        "sentence": clause.sentence,
        "level": clause.level.name.lower(),
        "since": clause.since,
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        "checks": [
            {
                "id": outcome.check,
                "status": outcome.status.value,
                "seconds": round(outcome.seconds, 3),
                "detail": outcome.detail or None,
            }
            for outcome in result.outcomes
        ],
    }
