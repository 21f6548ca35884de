"""Forged contracts: a handful of clauses whose checks do what a test of the framework needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import attrs
import pytest

from jobkit_contract.bench import Bench
from jobkit_contract.clause import Check, Clause, Level, Plane
from jobkit_contract.harness import Harness
from jobkit_contract.registry import Registry
from jobkit_contract.verdict import Terms
from jobkit_contract.waivers import Waiver

Forge = Callable[..., Terms]


def nothing(bench: Bench) -> None:
    """Passes."""


@pytest.fixture
def forge() -> Forge:
    """Makes terms from checks: ``forge(check(...), ...)``, on the memory adapter's manifest."""

    def make(
        *checks: Check, level: Level = Level.FULL, waivers: tuple[Waiver, ...] = (), today: str = "2026-06-15"
    ) -> Terms:
        names = dict.fromkeys(check.clause for check in checks)
        registry = Registry(
            [
                Clause(id=name, sentence=f"{name} MUST hold.", why="A test.", level=Level.CORE, since="0.1.0")
                for name in names
            ]
        )
        for check in checks:
            registry.add(check)
        return Terms(
            registry=registry,
            manifest=Harness.of("memory://").manifest(),
            level=level,
            planes=frozenset(Plane),
            waivers=waivers,
            today=date.fromisoformat(today),
        )

    return make


@pytest.fixture
def check() -> Callable[..., Check]:
    """A check ``X-1/name`` that passes; any field can be changed."""

    def make(name: str = "one", clause: str = "X-1", **changes: Any) -> Check:
        plain = Check(
            clause=clause, name=name, sentence="It holds.", run=nothing, plane=Plane.TRANSPORT, level=Level.CORE, limit=5.0
        )
        return attrs.evolve(plain, **changes)

    return make
