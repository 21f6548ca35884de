"""Job ids."""

from __future__ import annotations

import multiprocessing
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobkit.ids import new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    parsed = uuid.UUID(new_id())
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert str(parsed) == str(parsed).lower()


def test_ids_of_one_process_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_the_order_holds_while_the_wall_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000_000)
    assert first < new_id() < new_id()


def test_an_id_begins_with_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id()).int >> 80
    # Ids made in a burst run ahead of the clock by 244 ns each.
    assert before <= made <= time.time_ns() // 1_000_000 + 60_000


def test_threads_never_get_the_same_id() -> None:
    start = threading.Barrier(8)

    def make(_: int) -> list[str]:
        start.wait()
        return [new_id() for _ in range(5_000)]

    with ThreadPoolExecutor(8) as pool:
        made = [one for part in pool.map(make, range(8)) for one in part]
    assert len(set(made)) == len(made)


def _make(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def test_processes_never_get_the_same_id() -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = [one for part in pool.map(_make, [2_000] * 3) for one in part]
    assert len(set(made)) == len(made)
