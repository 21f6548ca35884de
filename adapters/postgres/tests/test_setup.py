"""The schema: made once, migrated in steps, and refused where it does not fit."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.errors import ConfigurationError, SetupRequired
from jobkit.transport import Answer, Message
from jobkit.url import Url
from jobkit_postgres import adapter, setup
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]


def set_up_at_once(text: str, start: Any, made: Any) -> None:
    start.wait(30)
    made.put(len(adapter.setup(Url.parse(text), [])))


def test_of_four_processes_that_set_up_at_once_one_works_and_all_succeed(bare: Url) -> None:
    context = multiprocessing.get_context("spawn")
    start, made = context.Barrier(4), context.Queue()
    processes = [context.Process(target=set_up_at_once, args=(bare.text(), start, made)) for _ in range(4)]
    for process in processes:
        process.start()
    assert sorted(made.get(timeout=60) for _ in processes) == [0, 0, 0, 1 + setup.VERSION]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_second_setup_changes_nothing(bare: Url) -> None:
    first = [change.what for change in adapter.setup(bare, ["q"])]
    assert first[0].startswith("schema t_")
    assert adapter.setup(bare, ["q"]) == []


def test_the_last_step_is_the_version() -> None:
    assert [number for number, _, _ in setup.steps()] == list(range(1, setup.VERSION + 1))


def test_a_missing_schema_is_named_with_the_command_and_without_the_password(bare: Url, make_url: Any) -> None:
    with pytest.raises(SetupRequired, match=r"jobkit setup --url 'postgresql://.*'") as caught:
        adapter.transport(make_url(password="hush-hush")).depth([])
    assert "hush-hush" not in str(caught.value)
    with pytest.raises(SetupRequired, match="jobkit setup"):
        adapter.store(bare).now()


@pytest.fixture
def make_url(bare: Url) -> Callable[..., Url]:
    import attrs

    return lambda **changes: attrs.evolve(bare, **changes)


def test_an_older_schema_is_refused_and_migrated_step_by_step(
    bare: Url, namespace: str, sql: Any, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = setup.steps()
    with monkeypatch.context() as patch:
        patch.setattr(setup, "steps", lambda: every[:1])
        patch.setattr(setup, "VERSION", 1)
        adapter.setup(bare, [])
    old = adapter.transport(bare)
    with pytest.raises(SetupRequired, match=r"version is 1.*jobkit setup"):
        old.send([message("a")])
    changes = adapter.setup(bare, [])
    assert [change.what.split(", ")[1] for change in changes] == [name for _, name, _ in every[1:]]
    assert old.send([message("a")])[0].answer is Answer.YES
    old.close()


def test_a_newer_schema_serves_as_long_as_it_says_so(url: Url, namespace: str, sql: Any, message: Make) -> None:
    sql.run(f"update {namespace}.meta set version = 99")
    transport = adapter.transport(url)
    assert transport.send([message("a")])[0].answer is Answer.YES
    transport.close()
    sql.run(f"update {namespace}.meta set oldest = 98")
    with pytest.raises(SetupRequired, match="upgrade"):
        adapter.transport(url).send([message("b")])
    with pytest.raises(ConfigurationError, match="newer"):
        adapter.setup(url, [])


def test_setup_beside_a_working_process_disturbs_nothing(url: Url, transport: PostgresTransport, message: Make) -> None:
    done = threading.Event()
    counts: list[int] = []

    def work() -> None:
        while not done.is_set():
            counts.append(len(transport.send([message(f"{len(counts)}")])))

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(20):
        assert adapter.setup(url, []) == []
    done.set()
    thread.join(20)
    assert transport.depth(["q"])[0].ready == len(counts)


def test_a_failed_setup_leaves_nothing(bare: Url, namespace: str, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    every = setup.steps()
    monkeypatch.setattr(setup, "steps", lambda: [*every[:2], (3, "broken", "select 1/0")])
    with pytest.raises(Exception, match="division by zero"):
        adapter.setup(bare, [])
    assert sql.run(f"select 1 from pg_namespace where nspname = '{namespace}'") == []


def test_after_teardown_and_a_new_setup_an_open_transport_goes_on(
    url: Url, transport: PostgresTransport, message: Make
) -> None:
    transport.send([message("a")])
    adapter.teardown(url)
    with pytest.raises(SetupRequired, match="jobkit setup"):
        transport.send([message("b")])
    adapter.setup(url, [])
    transport.send([message("c")])
    assert transport.depth(["q"])[0].ready == 1


def test_two_namespaces_share_nothing(url: Url, bare: Url, transport: PostgresTransport, message: Make) -> None:
    other = bare.with_params(namespace=f"{bare.params['namespace']}_b")
    adapter.setup(other, [])
    try:
        transport.send([message("a")])
        second = adapter.transport(other)
        assert second.depth([]) == []
        assert second.purge("q") == 0
        second.close()
    finally:
        adapter.teardown(other)
    assert transport.depth(["q"])[0].ready == 1
