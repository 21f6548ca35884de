"""The suite can fail: every fault of the bank is caught by its clause, and the reference by none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jobkit_contract.mutants.bank import REFERENCE, harness_for, load_bank
from jobkit_contract.mutants.matrix import Row, as_table, idle_clauses, try_faults
from jobkit_contract.registry import load_contract

FAULTS = {slug: fault for slug, fault in load_bank().items() if fault is not REFERENCE}


@pytest.fixture(scope="module")
def rows() -> Mapping[str, Row]:
    """Each fault tried on its own clause, all side by side."""
    return {row.fault.slug: row for row in try_faults(load_contract(), FAULTS.values(), seed=1, own_clause_only=True)}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("slug", FAULTS)
def test_a_fault_is_caught_by_its_clause(rows: Mapping[str, Row], slug: str) -> None:
    assert not rows[slug].survived, f"{FAULTS[slug].name}: {FAULTS[slug].clause} passed"


def test_every_fault_names_a_clause_of_the_contract() -> None:
    assert {fault.clause for fault in FAULTS.values()} <= set(load_contract().clauses)


def test_the_manifest_of_every_fault_can_be_read() -> None:
    for fault in FAULTS.values():
        assert harness_for(fault).manifest().transport is not None


def test_a_survivor_and_an_idle_clause_are_seen() -> None:
    """Forged: the reference in a fault's place."""
    fault = FAULTS["drops_item_11"]
    alive = Row(fault=fault, caught=("DLV-1",), outcomes=())
    assert alive.survived
    assert alive.wrong
    assert "ALIVE!" in as_table(load_contract(), [alive])
    innocent = try_faults(load_contract().only(["SND-4"]), [REFERENCE], seed=1)
    assert [row.wrong for row in innocent] == [False]
    assert "SND-4" in idle_clauses(load_contract(), innocent)
