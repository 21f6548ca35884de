"""
The plans that the functions run, as the server reports them: by index on a large table, and still so with the plans that a
connection made when the table was empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.url import Url
from jobkit_postgres.transport import PostgresTransport

ROWS = 50_000


@pytest.fixture
def explained(url: Url, namespace: str, open_sql: Callable[[], Any]) -> Callable[..., tuple[Any, str]]:
    """Runs a call and returns its answer, and the plans of all statements within."""
    connection = open_sql()
    connection.run("load 'auto_explain'")
    connection.run("set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on")
    connection.run("set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set client_min_messages = log")

    def run(call: str, **values: Any) -> tuple[Any, str]:
        connection.notices.clear()
        rows = connection.run(f"select {namespace}.{call}", **values)
        return rows[0][0], "\n".join(notice[b"M"].decode() for notice in connection.notices)

    return run


def fill(sql: Any, namespace: str) -> None:
    sql.run(
        f"insert into {namespace}.job (number, queue, id, due, body)"
        " select n, 'q', 'm' || n, clock_timestamp() + n % 2 * interval '1 day', '\\x00'"
        f" from generate_series(0, {ROWS - 1}) as n"
    )
    sql.run(f"insert into {namespace}.record (collection, name, version, expires, value)"
            " select 'c', 'r' || n, n, clock_timestamp() + case when n % 2 = 0 then interval '1 day' end, '\\x00'"
            f" from generate_series(1, {ROWS}) as n on conflict do nothing")  # fmt: skip


def settle_of(jobs: list[Any], **more: Any) -> str:
    return json.dumps([{"queue": job[0], "id": job[1], "token": 7, **more} for job in jobs])


CALLS = {
    "receive": ("receive(array['empty', 'q'], 5, 30, 7)", {}),
    "send": ("send(cast(:v as jsonb))", {"v": '[{"id": "new", "queue": "q", "delay": 0, "body": ""}]'}),
    "settle": ("settle(cast(:v as jsonb))", {"v": settle_of([("q", "m1")])}),
    "settle again": ("settle(cast(:v as jsonb))", {"v": settle_of([("q", "m1")], again={"delay": 0, "body": ""})}),
    "extend": ("extend(cast(:v as jsonb), 30)", {"v": settle_of([("q", "m1")])}),
    "purge": ("purge('q', 5)", {}),
    "put": ("put(cast(:v as jsonb))", {"v": '[{"collection": "c", "name": "r7", "value": "", "version": "7"}]'}),
    "put any": ("put(cast(:v as jsonb))", {"v": '[{"collection": "c", "name": "r7", "value": "", "ttl": 5}]'}),
    "delete": ("put(cast(:v as jsonb))", {"v": '[{"collection": "c", "name": "r7", "value": null, "version": "7"}]'}),
    "get": ("records_at(cast(:v as jsonb))", {"v": '[["c", "r7"]]'}),
    "scan": ("scan('c', 'r7', 5, false)", {}),
    "scan back": ("scan('c', '', 5, true)", {}),
    "sweep": ("sweep(5)", {}),
    "count": ("count_records('c', 5)", {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_reads_the_whole_table_even_with_plans_made_when_it_was_empty(
    name: str, explained: Callable[..., tuple[Any, str]], namespace: str, sql: Any
) -> None:
    call, values = CALLS[name]
    try:
        for _ in range(8):  # beyond the fifth, a plan without the actual values may be kept
            explained(call, **values)
    except IndexError:
        pass  # a function that returns rows returned none
    fill(sql, namespace)
    with_rows = "receive(array['q'], 20, 30, 7)"
    explained(with_rows)
    _, plans = explained(call, **values)
    assert "Query Text" in plans
    assert "JIT:" not in plans
    assert "Seq Scan on job" not in plans
    assert "Seq Scan on record" not in plans
    rows = [int(actual) for actual in re.findall(r"Scan .*actual rows=(\d+)", plans)]
    removed = [int(count) for count in re.findall(r"Rows Removed by \w+(?: \w+)*: (\d+)", plans)]
    assert max(rows + removed, default=0) < 200, plans


def test_a_claim_walks_over_no_delayed_or_leased_job(
    explained: Callable[..., tuple[Any, str]], namespace: str, sql: Any
) -> None:
    fill(sql, namespace)
    sql.run(f"update {namespace}.job set due = clock_timestamp() + interval '1 hour', receives = 1 where due < now()")
    sql.run(f"vacuum {namespace}.job")
    answer, plans = explained("receive(array['q'], 100, 30, 7)")
    found = json.loads(answer)
    assert found["jobs"] == []
    assert 3000 < found["next"] < 3600
    assert max(map(int, re.findall(r"Scan .*actual rows=(\d+)", plans)), default=0) <= 1


def test_claims_and_settlements_take_the_indexes_that_are_meant_for_them(
    explained: Callable[..., tuple[Any, str]], namespace: str, sql: Any, transport: PostgresTransport
) -> None:
    fill(sql, namespace)
    _, plans = explained("receive(array['q'], 100, 30, 7)")
    assert "Index Scan using job_due on job" in plans
    assert "Tid Scan on job" in plans
    _, plans = explained("settle(cast(:v as jsonb))", v=settle_of([("q", "m1"), ("q", "m3")]))
    assert "Index Scan using job_pkey on job" in plans
