"""What `doctor` is told."""

from __future__ import annotations

from typing import Any

import pytest

from jobkit.adapter import Finding
from jobkit.url import Url
from jobkit_postgres import adapter, check


def found(findings: list[Finding], words: str) -> Finding:
    (finding,) = [finding for finding in findings if words in finding.what]
    return finding


def test_a_schema_that_is_there_and_one_that_is_not(url: Url) -> None:
    assert found(adapter.check(url), "schema version").level == "ok"
    missing = found(adapter.check(url.with_params(namespace="not_there")), "no usable schema")
    assert (missing.level, "jobkit setup" in missing.advice) == ("error", True)


def test_settings_that_lose_data_are_errors(url: Url) -> None:
    for name in ("fsync", "full_page_writes"):
        assert found(adapter.check(url), name).level in ("ok", "error")

    def answer(sql: str) -> list[list[object]]:
        return [["fsync", "off", "off"], ["full_page_writes", "off", "off"], ["synchronous_commit", "on", "off"],
                ["autovacuum", "off", "off"]]  # fmt: skip

    levels = {finding.what.split()[0]: finding.level for finding in check._durability(answer)}
    assert levels == {
        "fsync": "error",
        "full_page_writes": "error",
        "synchronous_commit": "warning",
        "autovacuum": "warning",
    }


def test_a_standby_an_old_server_and_another_encoding_are_errors() -> None:
    findings = list(check._server(lambda sql: [[120004, "12.4", True, "LATIN1"]]))
    assert [finding.level for finding in findings] == ["error"] * 3


def test_a_schema_from_elsewhere_in_time_is_told(url: Url, namespace: str, sql: Any) -> None:
    sql.run(f"update {namespace}.meta set version = 99")
    assert found(adapter.check(url), "99").level == "warning"
    sql.run(f"update {namespace}.meta set version = 1")
    assert found(adapter.check(url), "schema version 1").level == "error"


def test_a_transaction_that_stays_open_is_told(url: Url, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LONG_TRANSACTION", -1)
    sql.run("begin isolation level repeatable read")
    sql.run("select 1 from pg_class limit 1")
    assert found(adapter.check(url), "has been open").level == "warning"
    sql.run("rollback")


def test_looking_changes_nothing(bare: Url, namespace: str, sql: Any) -> None:
    adapter.check(bare)
    assert sql.run("select 1 from pg_namespace where nspname = :name", name=namespace) == []
