"""One thing that was seen."""

from __future__ import annotations

from typing import Literal

import attrs

from jobkit.adapter import Finding


@attrs.frozen
class Diagnosis:
    """
    A `Finding` with what it is about.

    Attributes:
        level: ``ok``, ``warning``: works, but may surprise; ``error``: jobs would be lost, or nothing works.
        advice: What to do about it; empty for ``ok``.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    what: str
    advice: str = ""

    @classmethod
    def of(cls, subject: str, finding: Finding) -> Diagnosis:
        """What an adapter found in *subject*."""
        return cls(finding.level, subject, finding.what, finding.advice)
