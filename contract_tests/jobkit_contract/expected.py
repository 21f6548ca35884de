"""Which checks have to run: from the manifest and the level alone, so that nothing can be left out unseen."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from jobkit_contract.clause import Check, Level, Plane
from jobkit_contract.manifest import Manifest
from jobkit_contract.registry import Registry


@attrs.frozen(kw_only=True)
class Expected:
    """
    Attributes:
        run: Checks whose promise was made, and the negative tests of what was not.
        not_offered: Checks that stand back, each with the negative tests that must pass before it may. None of them, and
            it is not run at all.
    """

    run: tuple[Check, ...]
    not_offered: dict[str, tuple[Check, ...]]

    def ids(self) -> frozenset[str]:
        return frozenset(check.id for check in self.run) | frozenset(self.not_offered)


def expected(registry: Registry, manifest: Manifest, level: Level, planes: Collection[Plane]) -> Expected:
    """What a verdict for *level* needs, on those of *planes* that the manifest knows."""
    asked = [
        check for check in registry.checks.values() if check.level <= level and check.plane in manifest.planes & set(planes)
    ]
    return Expected(
        run=tuple(check for check in asked if _applies(check, manifest)),
        not_offered={
            check.id: _refusals(asked, missing)
            for check in asked
            if not check.refuses and (missing := _missing(check, manifest))
        },
    )


def _missing(check: Check, manifest: Manifest) -> list[str]:
    return [name for name in check.needs if not manifest.offers(name)]


def _applies(check: Check, manifest: Manifest) -> bool:
    if check.refuses:
        return manifest.known(check.refuses) and not manifest.offers(check.refuses)
    return not _missing(check, manifest)


def _refusals(asked: Iterable[Check], missing: Collection[str]) -> tuple[Check, ...]:
    """The negative tests of all of *missing*; empty if one of them has none, since then nothing shows the absence."""
    found = tuple(check for check in asked if check.refuses in missing)
    return found if {check.refuses for check in found} == set(missing) else ()
