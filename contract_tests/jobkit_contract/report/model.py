"""Everything that a report shows, in one value."""

from __future__ import annotations

from datetime import datetime

import attrs

from jobkit_contract.clause import Plane, Status
from jobkit_contract.harness import Harness
from jobkit_contract.verdict import Terms, Verdict
from jobkit_contract.waivers import Waiver


@attrs.frozen(kw_only=True)
class Report:
    """
    Attributes:
        unreachable: Why the backend was not reached; then nothing ran.
        partial: Only some clauses or planes were asked for, so that there is no verdict, whatever ran.
    """

    verdict: Verdict
    terms: Terms
    harness: Harness
    seed: int
    started: datetime
    seconds: float
    unreachable: str = ""
    partial: bool = False

    @property
    def reached(self) -> bool:
        return self.verdict.reached and not self.partial and not self.unreachable

    @property
    def headline(self) -> str:
        """The verdict in one phrase."""
        level = self.verdict.level
        if self.unreachable:
            return f"{level}: not run, the backend was not reached"
        if self.partial:
            return f"no verdict: only a part of {level} was asked for"
        if not self.reached:
            return f"{level}: NOT reached"
        waived = self.verdict.count(Status.WAIVED)
        return f"{level}: reached" + (f", with {waived} waived" if waived else "")

    @property
    def subject(self) -> str:
        """The backend's names, as its manifest gives them."""
        manifest = self.terms.manifest
        names = [part.name for part in (manifest.transport, manifest.store) if part]
        text = names[0] if len(set(names)) == 1 else " + ".join(names)
        return f"{text} (emulator: {self.harness.emulator})" if self.harness.emulator else text

    @property
    def planes(self) -> list[Plane]:
        return [plane for plane in Plane if plane in self.terms.planes & self.terms.manifest.planes]

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        return self.terms.waivers
