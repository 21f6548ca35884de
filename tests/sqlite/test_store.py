"""jobkit/sqlite/store.py: records that mean the same as everywhere."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobkit.clock import ManualClock
from jobkit.errors import Closed, TooLarge
from jobkit.sqlite.adapter import SqliteAdapter
from jobkit.sqlite.store import SqliteStore
from jobkit.store import Expect, Key, Record, Write
from jobkit.transport import Answer
from jobkit.url import Url

YES, LOST = Answer.YES, Answer.LOST
KEY = Key("box", "name")


def put(store: SqliteStore, *writes: Write) -> list[Answer]:
    return [written.answer for written in store.put(writes)]


def get(store: SqliteStore, key: Key = KEY) -> Record:
    (record,) = store.get([key])
    assert record is not None
    return record


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def timed(url: Url, clock: ManualClock, closing: ExitStack) -> SqliteStore:
    store = SqliteAdapter(clock).store(url)
    closing.callback(store.close)
    return store


@pytest.mark.parametrize("value", [b"", bytes(range(256)), b"x" * 1_000_000])
def test_a_value_comes_out_byte_for_byte_under_the_version_that_its_write_told(store: SqliteStore, value: bytes) -> None:
    (written,) = store.put([Write(KEY, value)])
    assert store.get([KEY, Key("box", "other"), Key("other", "name")]) == [Record(value, written.version or ""), None, None]


def test_of_many_writers_that_expect_the_same_version_one_gets_through(store: SqliteStore) -> None:
    store.put([Write(KEY, b"0")])
    for expect in (get(store).version, Expect.ABSENT):
        answers: list[Answer] = []
        barrier = threading.Barrier(8)

        def write(number: int, expect: str | Expect = expect, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            answers.extend(put(store, Write(KEY, str(number).encode(), expect)))  # noqa: B023

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.value for answer in answers) == ["lost"] * 7 + ["yes"]
        store.put([Write(KEY, None)])


def test_each_write_of_a_batch_is_answered_for_itself_and_a_lost_one_changes_nothing(store: SqliteStore) -> None:
    other = Key("box", "other")
    store.put([Write(KEY, b"kept")])
    before = get(store)
    answers = put(store, Write(KEY, b"lost", Expect.ABSENT), Write(other, b"new", Expect.ABSENT))
    assert answers == [LOST, YES]
    assert get(store) == before
    assert get(store, other).value == b"new"


def test_a_delete_compares_as_a_write_does(store: SqliteStore) -> None:
    store.put([Write(KEY, b"v")])
    version = get(store).version
    for expect in ("another", Expect.ABSENT):
        assert put(store, Write(KEY, None, expect)) == [LOST]
    assert get(store).version == version
    assert put(store, Write(KEY, None, version)) == [YES]
    assert store.get([KEY]) == [None]
    assert put(store, Write(KEY, None, version)) == [LOST]
    for expect in (Expect.ABSENT, Expect.ANY):
        assert put(store, Write(KEY, None, expect)) == [YES]


def test_versions_never_recur_even_after_a_delete(store: SqliteStore) -> None:
    seen: set[str | None] = set()
    for _ in range(20):
        seen.update(written.version for written in store.put([Write(KEY, b"same")]))
        store.put([Write(KEY, None)])
    assert len(seen) == 20


def test_an_expired_record_is_gone_at_once_and_counts_as_absent(timed: SqliteStore, clock: ManualClock) -> None:
    timed.put([Write(KEY, b"v", ttl=5), Write(Key("box", "stays"), b"v")])
    version = get(timed).version
    clock.advance(5)
    assert timed.get([KEY]) == [None]
    assert [name for name, _ in timed.scan("box", limit=10)] == ["stays"]
    assert timed.count("box", limit=10) == 1
    assert put(timed, Write(KEY, b"w", version)) == [LOST]
    assert put(timed, Write(KEY, b"w", Expect.ABSENT)) == [YES]
    clock.advance(1000)
    assert get(timed).value == b"w"


def test_expired_records_are_swept_from_the_file_by_later_writes(timed: SqliteStore, clock: ManualClock) -> None:
    timed.put([Write(Key("box", str(number)), b"v", ttl=5) for number in range(10)])
    clock.advance(6)
    timed.put([Write(KEY, b"v")])
    rows = timed._database.read(lambda connection: connection.execute("SELECT count(*) FROM jobkit_record").fetchall())
    assert rows == [(1,)]


NAMES = ["!", "%", "'", "A", "a", "a b", "a'b", "aa", "é", "�", "￿", "\U00010000", "\U0001f600"]


def test_scans_are_ordered_by_utf8_bytes_and_paged_both_ways(store: SqliteStore) -> None:
    assert sorted(NAMES, key=str.encode) == NAMES
    store.put([Write(Key("box", name), name.encode()) for name in reversed(NAMES)])
    store.put([Write(Key("boy", name), b"") for name in NAMES])
    for reverse, expected in ((False, NAMES), (True, NAMES[::-1])):
        found: list[str] = []
        while page := store.scan("box", after=found[-1] if found else "", limit=4, reverse=reverse):
            found += [name for name, _ in page]
            assert all(record.value == name.encode() for name, record in page)
        assert found == expected
    assert store.count("box", limit=5) == 5
    assert store.count("box", limit=1000) == len(NAMES)


def test_what_is_too_large_or_misnamed_is_refused_before_the_file_is_touched(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        store.put([Write(KEY, b"x" * (store.capabilities.max_value + 1))])
    with pytest.raises(ValueError, match="twice"):
        store.put([Write(KEY, b"1"), Write(KEY, b"2")])
    for use in (
        lambda: store.get([Key("box", "a\nb")]),
        lambda: store.scan("Box", limit=1),
        lambda: store.count("", limit=1),
    ):
        with pytest.raises(ValueError, match="allowed"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_close_may_be_repeated_and_everything_after_it_raises_closed(store: SqliteStore) -> None:
    store.put([Write(KEY, b"v")])
    store.close()
    store.close()
    for use in (
        lambda: store.get([KEY]),
        lambda: store.put([Write(KEY, b"v")]),
        lambda: store.scan("box", limit=1),
        lambda: store.count("box", limit=1),
    ):
        with pytest.raises(Closed):
            use()
