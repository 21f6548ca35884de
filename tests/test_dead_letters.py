"""Dead letters: listed in the order of death, shown whole, replayed once, purged for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobkit import ConfigurationError, Dead, JobKit, NotFound, RetryPolicy, dead_letters, records
from jobkit.clock import ManualClock
from jobkit.store import Key, Write
from jobkit.testing import TestBench
from jobkit.transport import Message

jobs = JobKit()
fail = {"now": True}
attempts: list[str] = []


@jobs.handler(retry=RetryPolicy(max_attempts=2, delays=[1], jitter=0))
def flaky(name: str) -> None:
    attempts.append(name)
    if fail["now"]:
        raise ValueError(f"no {name}")


@jobs.handler(queue="other")
def doomed(name: str) -> None:
    raise Dead(f"never {name}")


@pytest.fixture
def bench() -> Iterator[TestBench]:
    fail["now"] = True
    attempts.clear()
    with jobs.test() as bench:
        yield bench


@pytest.fixture
def clock(bench: TestBench) -> ManualClock:
    return bench.clock


def die(bench: TestBench, *names: str) -> list[str]:
    """Dead letters, one second after the other."""
    ids = []
    for name in names:
        ids.append(doomed.enqueue(name).id)
        bench.run()
        bench.advance(1)
    return ids


def ids_of(*, since: datetime | None = None, until: datetime | None = None, limit: int = 100) -> list[str]:
    return [entry.id for entry in jobs.dead.list(since=since, until=until, limit=limit)]


def test_they_are_listed_in_the_order_of_death(bench: TestBench) -> None:
    ids = die(bench, "a", "b", "c")
    assert ids_of() == ids
    assert ids_of(limit=2) == ids[:2]
    assert jobs.dead.count() == 3
    assert jobs.dead.count(limit=2) == 2


def test_filters_go_by_queue_type_error_and_time(bench: TestBench) -> None:
    start = bench.clock.now()
    [first, second] = die(bench, "a", "b")
    third = flaky.enqueue("c").id
    bench.run()
    bench.advance(1)
    assert ids_of() == [first, second, third]
    assert [one.id for one in jobs.dead.list(queue="default")] == [third]
    assert [one.id for one in jobs.dead.list(type="doomed")] == [first, second]
    assert [one.id for one in jobs.dead.list(error="ValueError")] == [third]
    assert [one.id for one in jobs.dead.list(error="never b")] == [second]
    assert jobs.dead.list(error="nothing of the kind") == []
    assert ids_of(since=start + timedelta(seconds=1)) == [second, third]
    assert ids_of(until=start + timedelta(seconds=1)) == [first]
    assert ids_of(since=start, until=start + timedelta(microseconds=1)) == [first]


def test_naive_instants_are_refused(bench: TestBench) -> None:
    with pytest.raises(ConfigurationError, match="naive datetime"):
        ids_of(since=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ConfigurationError, match="naive datetime"):
        ids_of(until=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose


def test_pages_go_on_while_others_die_and_are_purged(bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands there throughout is listed once; what comes and goes meanwhile, at most once."""
    monkeypatch.setattr(dead_letters, "PAGE", 3)
    ids = die(bench, *"abcdefgh")
    scan, scans = jobs.backend.store.scan, 0

    def disturbed(*args: object, **kwargs: object) -> object:
        nonlocal scans
        scans += 1
        found = scan(*args, **kwargs)  # type: ignore[arg-type]
        if scans == 1:
            jobs.dead.purge([ids[1], ids[4]])
            doomed.enqueue("late")
            bench.run()
        return found

    monkeypatch.setattr(jobs.backend.store, "scan", disturbed)
    found = ids_of()
    assert len(found) == len(set(found)) == 7
    assert found[:-1] == [job_id for number, job_id in enumerate(ids) if number not in (1, 4)]
    assert jobs.dead.count() == 7


def test_a_letter_is_shown_with_its_bytes_arguments_and_every_failure(bench: TestBench) -> None:
    dead = flaky.using(headers={"a": "b"}).enqueue("x").id
    bench.run()
    bench.advance(1)
    letter = jobs.dead.show(dead)
    assert (letter.id, letter.type, letter.queue, letter.attempts) == (dead, "flaky", "default", 2)
    assert [failure.attempt for failure in letter.failures] == [1, 2]
    assert "no x" in letter.reason
    assert letter.envelope is not None
    assert letter.envelope.headers == {"a": "b"}
    assert letter.args == {"name": "x"}
    assert letter.died_at == bench.clock.now()
    with pytest.raises(NotFound, match="'nobody'"):
        jobs.dead.show("nobody")


def test_a_replay_starts_its_attempts_anew_under_the_same_id_and_keeps_what_was(bench: TestBench) -> None:
    dead = flaky.enqueue("x").id
    bench.run()
    bench.advance(1)
    assert jobs.dead.replay([dead]) == {dead: "replayed"}
    assert ids_of() == []
    bench.run()
    bench.advance(1)
    assert attempts == ["x"] * 4
    letter = jobs.dead.show(dead)
    assert [failure.attempt for failure in letter.failures] == [1, 2, 1, 2]
    fail["now"] = False
    assert jobs.dead.replay([dead]) == {dead: "replayed"}
    bench.run()
    assert attempts == ["x"] * 5
    assert ids_of() == []
    assert jobs.dead.count() == 0


def test_a_second_replay_finds_nothing_to_do(bench: TestBench) -> None:
    [dead] = die(bench, "a")
    assert jobs.dead.replay([dead]) == {dead: "replayed"}
    assert jobs.dead.replay([dead, "nobody"]) == {dead: "not found", "nobody": "not found"}


def test_an_expired_job_that_is_replayed_runs(bench: TestBench) -> None:
    dead = flaky.using(expires="10s").enqueue("x").id
    bench.run()
    bench.advance(1)
    fail["now"] = False
    bench.advance("1h")
    jobs.dead.replay([dead])
    bench.run()
    assert attempts[-1] == "x"
    assert ids_of() == []


@pytest.mark.parametrize("act", [jobs.dead.replay, jobs.dead.purge])
def test_of_two_who_take_up_one_letter_one_gets_it(bench: TestBench, act: Callable[[list[str]], dict[str, str]]) -> None:
    [dead] = die(bench, "a")
    put, others = jobs.backend.store.put, list[str]()

    def overtaken(writes: list[Write]) -> object:
        if any(write.key == Key(records.JOBS, dead) for write in writes) and not others:
            others.append("purge")
            others.append(jobs.dead.purge([dead])[dead])
        return put(writes)

    jobs.backend.store.put = overtaken  # type: ignore[method-assign, assignment]
    try:
        assert act([dead]) == {dead: "somebody else has taken it up"}
    finally:
        jobs.backend.store.put = put  # type: ignore[method-assign]
    assert others == ["purge", "purged"]
    assert ids_of() == []


def test_purged_letters_are_gone_and_stay_gone(bench: TestBench) -> None:
    ids = die(bench, "a", "b")
    assert jobs.dead.purge([ids[0], "nobody"]) == {ids[0]: "purged", "nobody": "not found"}
    assert ids_of() == [ids[1]]
    assert jobs.dead.count() == 1
    with pytest.raises(NotFound):
        jobs.dead.show(ids[0])
    assert jobs.dead.replay([ids[0]]) == {ids[0]: "not found"}


def test_an_entry_that_a_crash_left_behind_is_passed_over_and_swept_away(bench: TestBench) -> None:
    [dead] = die(bench, "a")
    stored = records.read(jobs.backend.store, [dead])[0]
    assert stored is not None
    left = stored.record.replace(entry=records.instant_name(datetime(2025, 1, 1, tzinfo=UTC), dead))
    jobs.backend.store.put([records.dead_entry(dead, left)])
    assert jobs.dead.count() == 2
    assert ids_of() == [dead]
    assert jobs.dead.count() == 1


def test_a_body_that_cannot_be_read_is_shown_and_not_replayed(bench: TestBench) -> None:
    jobs.backend.transport.send([Message(id="junk", queue="default", body=b"\xff")])
    bench.run()
    assert jobs.dead.show("junk").body == b"\xff"
    assert jobs.dead.show("junk").envelope is None
    assert jobs.dead.show("junk").args == {}
    assert "cannot be decoded" in jobs.dead.replay(["junk"])["junk"]
    assert ids_of() == ["junk"]


def test_one_id_is_no_list_of_ids_and_what_is_no_id_is_not_found() -> None:
    with JobKit(default="memory://") as jobs:
        for act in (jobs.dead.replay, jobs.dead.purge):
            with pytest.raises(ConfigurationError, match="give a list of ids"):
                act("some-id")
        for odd in ("", "a\nb"):
            with pytest.raises(NotFound):
                jobs.dead.show(odd)
            with pytest.raises(NotFound):
                jobs.status(odd)
        with pytest.raises(ConfigurationError, match="give a list of names"):
            jobs.stats("default")
