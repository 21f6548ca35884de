"""The contract as data: every clause is whole, and every check has a place in it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from jobkit_contract.clause import Check, Level
from jobkit_contract.explain import explain_clause
from jobkit_contract.manifest import CAPABILITIES
from jobkit_contract.registry import Registry, load_contract
from jobkit_contract.verdict import Terms

CONTRACT = load_contract()


@pytest.mark.parametrize("name", CONTRACT.clauses)
def test_every_clause_has_a_sentence_a_reason_a_version_and_a_check(name: str) -> None:
    clause = CONTRACT.clauses[name]
    assert re.fullmatch(r"[A-Z]{3}-\d+", name)
    assert re.search(r"\b(MUST|SHOULD)\b", clause.sentence)
    assert clause.why.endswith(".")
    assert re.fullmatch(r"\d+\.\d+\.\d+", clause.since)
    assert CONTRACT.of(name)


@pytest.mark.parametrize("name", CONTRACT.clauses)
def test_every_clause_can_be_explained(name: str) -> None:
    text = explain_clause(CONTRACT, name)
    assert CONTRACT.clauses[name].sentence in text
    assert CONTRACT.clauses[name].why in text
    assert all(check.id in text for check in CONTRACT.of(name))


def test_every_check_that_runs_says_in_a_sentence_what_holds() -> None:
    for check in CONTRACT.checks.values():
        assert check.run is None or check.sentence.endswith("."), check.id
        assert (check.run is None) == bool(check.later), check.id


def test_every_capability_that_a_check_needs_has_a_negative_test() -> None:
    """Else a manifest that does not declare it could never reach a verdict."""
    needed = {name for check in CONTRACT.checks.values() for name in check.needs}
    refused = {check.refuses for check in CONTRACT.checks.values()}
    assert needed <= refused
    assert needed <= set(CAPABILITIES)


def test_clauses_that_need_faults_are_asked_for_by_certified_only() -> None:
    for name in ("SND-1", "SND-2", "DLY-4", "CON-1"):
        assert CONTRACT.clauses[name].level is Level.CERTIFIED
        assert all(check.later for check in CONTRACT.of(name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clause": "Y-9"}, "no clause Y-9"),
        ({"needs": ("magic",)}, "'magic'"),
        ({"refuses": "magic"}, "'magic'"),
        ({}, "twice"),
    ],
)
def test_a_check_without_a_place_is_refused(
    forge: Callable[..., Terms], check: Callable[..., Check], changes: dict[str, object], message: str
) -> None:
    registry: Registry = forge(check()).registry
    with pytest.raises(ValueError, match=message):
        registry.add(check(**({"name": "two"} | changes if changes else {})))


def test_a_part_of_the_contract_keeps_the_negative_tests_that_it_leans_on() -> None:
    part = CONTRACT.only(["SND-6"])
    assert set(part.clauses) == {"SND-6", "CAP-2"}
    assert "CAP-2/undeclared_transactions_are_refused" in part.checks
    assert "CAP-2/an_unknown_age_is_absent" not in part.checks
