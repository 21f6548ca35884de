"""The roles that the README proposes can do what they are for, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from jobkit.errors import ConfigurationError
from jobkit.store import Expect, Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_postgres import adapter

README = Path(__file__).resolve().parent.parent / "README.md"
ROLES = ("jobkit_owner", "jobkit_producer", "jobkit_worker")

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture
def roles(bare: Url, namespace: str, sql: Any) -> Iterator[dict[str, Url]]:
    """The README's own statements, with names that belong to this test."""
    blocks = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    before, after = (block for block in blocks if "jobkit_owner" in block)
    names = {role: f"{namespace}_{role.removeprefix('jobkit_')}" for role in ROLES}

    def mine(text: str) -> str:
        for role, name in names.items():
            text = text.replace(role, name)
        return re.sub(r"\bschema jobkit\b", f"schema {namespace}", text).replace("jobkit.", f"{namespace}.")

    urls = {role.removeprefix("jobkit_"): attrs.evolve(bare, username=name) for role, name in names.items()}
    try:
        sql.run(mine(before).replace("database app", f"database {bare.path}"))
        adapter.setup(urls["owner"], [])
        sql.run(mine(after))
        yield urls
    finally:
        adapter.teardown(bare)
        for name in names.values():
            sql.run(f"drop owned by {name}")
            sql.run(f"drop role {name}")


def test_a_worker_may_do_all_that_workers_do(roles: dict[str, Url], message: Make, take: Take) -> None:
    with closing(adapter.transport(roles["worker"])) as transport, closing(adapter.store(roles["worker"])) as store:
        transport.send([message("a"), message("b"), message("c")])
        a, b, c = take(transport, wait=1)
        assert transport.extend([c], lease=60)[0].answer is Answer.YES
        settled = transport.settle([Done(a, (message("d"),)), Again(b, message("b")), Done(c)])
        assert {one.answer for one in settled} == {Answer.YES}
        assert transport.depth(["q"])[0].ready == 2
        assert transport.purge("q") == 2
        key = Key("c", "k")
        assert store.put([Write(key, b"v", Expect.ABSENT)])[0].answer is Answer.YES
        assert store.put([Write(key, None)])[0].answer is Answer.YES
        assert (store.get([key]), store.scan("c", limit=1), store.count("c", limit=1)) == ([None], [], 0)
        assert store.now().tzinfo is not None


def test_a_producer_may_send_and_write_records_but_take_nothing(roles: dict[str, Url], message: Make, take: Take) -> None:
    with closing(adapter.transport(roles["producer"])) as transport, closing(adapter.store(roles["producer"])) as store:
        assert transport.send([message("a")])[0].answer is Answer.YES
        assert store.put([Write(Key("c", "k"), b"v")])[0].answer is Answer.YES
        for forbidden in (lambda: take(transport), lambda: transport.purge("q")):
            with pytest.raises(ConfigurationError, match="permission denied"):
                forbidden()
        assert [finding.level for finding in adapter.check(roles["producer"]) if "may not" in finding.what] == ["warning"]


@pytest.mark.parametrize("role", ["producer", "worker"])
def test_no_role_but_the_owner_touches_the_tables(role: str, roles: dict[str, Url], namespace: str, sql: Any) -> None:
    sql.run(f"set role {roles[role].username}")
    for statement in (
        "select * from {}.job",
        "delete from {}.record",
        "select nextval('{}.job_number')",
        "drop schema {} cascade",
    ):
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            sql.run(statement.format(namespace))
    sql.run("reset role")


def test_others_may_not_even_call(roles: dict[str, Url], namespace: str, sql: Any) -> None:
    public = (
        "select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(coalesce(p.proacl,"
        " acldefault('f', p.proowner))) as acl where n.nspname = :name and acl.grantee = 0"
    )
    assert sql.run(public, name=namespace) == [[0]]


def test_a_callers_own_objects_can_not_stand_in_for_the_schemas(roles: dict[str, Url], namespace: str, sql: Any) -> None:
    """A function that runs with the owner's rights must not look where the caller may put things."""
    sql.run("create temporary table job (number bigint, queue text, id text, due timestamptz, body bytea)")
    sql.run("set search_path = pg_temp, public")
    sql.run(f"select {namespace}.send(cast(:v as jsonb))", v='[{"id": "a", "queue": "q", "delay": 0, "body": ""}]')
    assert sql.run("select count(*) from pg_temp.job") == [[0]]
    settings = "select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = :name"
    pinned = f"{settings} and prosecdef and 'search_path={namespace}, pg_temp' = any (proconfig)"
    assert sql.run(pinned, name=namespace) == sql.run(settings, name=namespace)
