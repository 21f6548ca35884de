"""Queues and priorities."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit.errors import ConfigurationError
from jobkit.queues import PRIORITIES, all_physical, check_priority, check_queue, logical, physical, receive_order
from jobkit.transport import QUEUE_NAME

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: "--" not in name)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a--b", "--", "ä", "a\n", "x" * 65, "a/b"])
def test_a_name_that_some_broker_could_not_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed are 1 to 64 letters"):
        check_queue(name)


@given(NAMES)
def test_every_allowed_name_gives_physical_names_that_all_brokers_take_and_that_lead_back(name: str) -> None:
    assert check_queue(name) == name
    found = all_physical(name)
    assert len(set(found)) == 3
    assert all(QUEUE_NAME.fullmatch(one) for one in found)
    assert {logical(one) for one in found} == {name}


@given(st.lists(NAMES, unique=True, min_size=2, max_size=5))
def test_no_two_queues_share_a_physical_one(names: list[str]) -> None:
    found = [one for name in names for one in all_physical(name)]
    assert len(set(found)) == len(found)


def test_a_priority_is_one_of_three() -> None:
    assert [check_priority(one) for one in PRIORITIES] == ["low", "normal", "high"]
    with pytest.raises(ConfigurationError, match=r"'urgent'.*low, normal, high"):
        check_priority("urgent")


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_every_look_sees_every_queue_once(count: int, turn: int) -> None:
    queues = [f"q{number}" for number in range(count)]
    order = receive_order(queues, turn)
    assert sorted(order) == sorted(name for queue in queues for name in all_physical(queue))


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_low_has_the_first_pick_once_in_any_ten_looks_and_normal_twice(count: int, start: int) -> None:
    queues = [f"q{number}" for number in range(count)]
    firsts = [receive_order(queues, turn)[0] for turn in range(start, start + 10)]
    kinds = Counter(name.partition("--")[2] or "normal" for name in firsts)
    assert kinds == {"high": 7, "normal": 2, "low": 1}


@given(st.integers(1, 12), st.integers(0, 1_000))
def test_each_queue_gets_the_first_pick_of_each_priority_equally_often(count: int, start: int) -> None:
    queues = [f"q{number}" for number in range(count)]
    firsts = Counter(receive_order(queues, turn)[0] for turn in range(start * 10, start * 10 + 10 * count))
    for priority, often in (("high", 7), ("normal", 2), ("low", 1)):
        assert {firsts[physical(queue, priority)] for queue in queues} == {often}  # type: ignore[arg-type]
