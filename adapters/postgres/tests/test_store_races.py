"""Conditional writes by several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from jobkit.store import Expect, Key, Write
from jobkit.transport import Answer
from jobkit_postgres.store import PostgresStore

A, B = Key("c", "a"), Key("c", "b")


def at_once(count: int, work: Callable[[int], Answer]) -> list[Answer]:
    answers: list[Answer] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait(30)
        answers.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def put(store: PostgresStore, write: Write) -> Answer:
    return store.put([write])[0].answer


def put_number(store: PostgresStore, key: Key, expect: str | Expect, number: int) -> Answer:
    """Writes *number*; 0 deletes."""
    return put(store, Write(key, b"%d" % number if number else None, expect))


def put_number_from_one(store: PostgresStore, key: Key, expect: str | Expect, number: int) -> Answer:
    return put_number(store, key, expect, number + 1)


def test_of_many_that_expect_nothing_there_one_succeeds(store: PostgresStore) -> None:
    for turn in range(20):
        key = Key("c", f"k{turn}")
        answers = at_once(6, partial(put_number_from_one, store, key, Expect.ABSENT))
        assert sorted(answer.value for answer in answers) == ["lost"] * 5 + ["yes"]


def expire(store: PostgresStore, key: Key) -> None:
    """Leaves an expired record. Not one that is expired at once: the put itself would sweep it away."""
    store.put([Write(key, b"old", ttl=0.05)])
    while store.get([key]) != [None]:
        pass


def test_an_expired_record_counts_as_none(store: PostgresStore) -> None:
    expire(store, A)
    assert put(store, Write(A, b"new", Expect.ABSENT)) is Answer.YES


def test_of_many_that_replace_an_expired_record_one_succeeds(store: PostgresStore) -> None:
    for turn in range(20):
        key = Key("c", f"k{turn}")
        expire(store, key)
        answers = at_once(6, partial(put_number_from_one, store, key, Expect.ABSENT))
        assert sorted(answer.value for answer in answers) == ["lost"] * 5 + ["yes"]


def test_of_many_that_expect_one_version_one_succeeds(store: PostgresStore) -> None:
    version = store.put([Write(A, b"0")])[0].version
    for _ in range(20):
        assert version is not None
        answers = at_once(6, partial(put_number_from_one, store, A, version))
        assert sorted(answer.value for answer in answers) == ["lost"] * 5 + ["yes"]
        (record,) = store.get([A])
        version = record.version if record else None


def test_of_a_delete_and_a_write_of_one_version_one_succeeds(store: PostgresStore) -> None:
    for turn in range(20):
        key = Key("c", f"k{turn}")
        version = store.put([Write(key, b"0")])[0].version
        assert version is not None
        answers = at_once(2, partial(put_number, store, key, version))
        assert sorted(answer.value for answer in answers) == ["lost", "yes"]


def test_batches_in_opposite_order_never_wait_in_a_circle(store: PostgresStore) -> None:
    names = [Key("c", f"k{number}") for number in range(50)]

    def both_ways(number: int) -> Answer:
        for _ in range(10):
            order = names if number % 2 else names[::-1]
            assert {written.answer for written in store.put([Write(key, b"x") for key in order])} == {Answer.YES}
        return Answer.YES

    assert at_once(4, both_ways) == [Answer.YES] * 4


def test_conditions_of_deletes(store: PostgresStore) -> None:
    version = store.put([Write(A, b"1")])[0].version
    assert version is not None
    assert put(store, Write(A, None, Expect.ABSENT)) is Answer.LOST
    assert put(store, Write(A, None, "999999999")) is Answer.LOST
    assert put(store, Write(A, None, version)) is Answer.YES
    assert put(store, Write(A, None, version)) is Answer.LOST
    assert put(store, Write(A, None)) is Answer.YES
    assert put(store, Write(A, None, Expect.ABSENT)) is Answer.YES
    store.put([Write(A, b"1", ttl=0.0)])
    assert put(store, Write(A, None, Expect.ABSENT)) is Answer.YES


def test_expired_records_are_swept_by_whoever_writes(store: PostgresStore, sql: Any, namespace: str) -> None:
    store.put([Write(Key("c", f"k{number}"), b"x", ttl=0.0) for number in range(10)])
    for number in range(5):
        store.put([Write(Key("d", f"k{number}"), b"x")])
    assert sql.run(f"select collection, count(*) from {namespace}.record group by 1") == [["d", 5]]


def test_a_version_that_is_no_number_of_ours_is_lost(store: PostgresStore) -> None:
    store.put([Write(A, b"1")])
    assert put(store, Write(A, b"2", "not a version")) is Answer.LOST
    assert put(store, Write(A, b"2", "9" * 40)) is Answer.LOST


def test_names_are_ordered_by_their_bytes(store: PostgresStore) -> None:
    names = ["a", "B", "é", "z", "Z", "😀", "~", "\uffee"]
    store.put([Write(Key("c", name), name.encode()) for name in names])
    ordered = sorted(names, key=lambda name: name.encode())
    assert [name for name, _ in store.scan("c", limit=99)] == ordered
    assert [name for name, _ in store.scan("c", limit=99, reverse=True)] == ordered[::-1]
    assert [name for name, _ in store.scan("c", after=ordered[3], limit=2)] == ordered[4:6]
    assert [name for name, _ in store.scan("c", after=ordered[3], limit=2, reverse=True)] == [ordered[2], ordered[1]]
