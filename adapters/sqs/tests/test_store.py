"""Records: what DynamoDB leaves to its users. It removes late, answers in parts, and tells no time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobkit.clock import ManualClock
from jobkit.errors import SetupRequired, Unavailable
from jobkit.store import Expect, Key, Write
from jobkit.transport import Answer
from jobkit.url import Url
from jobkit_sqs import SqsAdapter, adapter
from jobkit_sqs.items import SWEPT_AFTER
from jobkit_sqs.options import Target
from jobkit_sqs.server_clock import ServerClock
from jobkit_sqs.store import DynamoStore
from jobkit_sqs.testing.faults import Faulty, lost_reply, refused, unreachable

Open = Callable[..., DynamoStore]

KEY = Key("things", "one")


@pytest.fixture
def open_store(url: Url) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(**arguments: Any) -> DynamoStore:
            store = SqsAdapter(**arguments).store(url.with_params(parallel="1"))
            assert store is not None
            return stack.enter_context(closing(store))

        yield opened


@pytest.fixture
def broken(open_store: Open, faulty: Faulty) -> DynamoStore:
    store = open_store(wrap=faulty.wrap)
    store.get([KEY])
    faulty.calls.clear()
    return store


def words(written: list[Any]) -> list[str]:
    return [one.answer.value for one in written]


def test_expired_records_are_there_and_count_for_nothing(store: DynamoStore, dynamodb: Any, target: Target) -> None:
    """DynamoDB removes them days later: nothing may rely on it."""
    store.put([Write(Key("things", name), b"", ttl=0.2) for name in ("a", "b", "c", "d")])
    store.put([Write(Key("things", "kept"), b"")])
    time.sleep(0.4)
    stored = dynamodb.scan(TableName=target.table)["Items"]
    assert {item["name"]["S"] for item in stored} >= {"a", "b", "c", "d"}
    assert [name for name, _ in store.scan("things", limit=1)] == ["kept"]
    assert store.count("things", limit=10) == 1
    assert words(store.put([Write(Key("things", "a"), b"", Expect.ABSENT)])) == ["yes"]
    assert words(store.put([Write(Key("things", "b"), None, Expect.ABSENT)])) == ["yes"]
    assert words(store.put([Write(Key("things", "kept"), None, Expect.ABSENT)])) == ["lost"]


def test_dynamodb_sweeps_nothing_that_a_slow_clock_still_sees(store: DynamoStore, dynamodb: Any, target: Target) -> None:
    store.put([Write(KEY, b"", ttl=60), Write(Key("things", "kept"), b"")])
    first, kept = (
        dynamodb.get_item(TableName=target.table, Key={"collection": {"S": "things"}, "name": {"S": name}})["Item"]
        for name in ("one", "kept")
    )
    assert int(first["ttl"]["N"]) >= float(first["expires"]["N"]) + SWEPT_AFTER
    assert "ttl" not in kept


def test_writes_without_conditions_share_requests_and_the_others_do_not(broken: DynamoStore, faulty: Faulty) -> None:
    free = [Write(Key("things", f"{number}"), b"x") for number in range(30)]
    bound = [Write(Key("bound", f"{number}"), b"x", Expect.ABSENT) for number in range(2)]
    written = broken.put([*free[:15], *bound, *free[15:]])
    assert words(written) == ["yes"] * 32
    assert [operation for operation, _ in faulty.calls] == ["put_item", "put_item", "batch_write_item", "batch_write_item"]
    assert [one.version for one in written] == [
        record.version
        for record in broken.get([*(w.key for w in free[:15]), *(w.key for w in bound), *(w.key for w in free[15:])])
        if record
    ]


def test_what_dynamodb_left_undone_is_unknown(broken: DynamoStore, faulty: Faulty) -> None:
    def partly(operation: Any, parameters: dict[str, Any]) -> Any:
        ((table, requests),) = parameters["RequestItems"].items()
        return {**operation(RequestItems={table: requests[1:]}), "UnprocessedItems": {table: requests[:1]}}

    faulty.fault("batch_write_item", partly)
    written = broken.put([Write(Key("things", name), None if name == "c" else b"x") for name in "abc"])
    assert words(written) == ["unknown", "yes", "yes"]
    assert broken.count("things", limit=10) == 1


def test_a_lost_reply_is_unknown_and_the_writer_finds_its_value(broken: DynamoStore, faulty: Faulty) -> None:
    faulty.fault("put_item", lost_reply)
    writes = [Write(KEY, b"mine", Expect.ABSENT), Write(Key("things", "two"), b"other", Expect.ABSENT)]
    assert words(broken.put(writes)) == ["unknown", "yes"]
    record = broken.get([KEY])[0]
    assert record is not None
    assert record.value == b"mine"


def test_a_store_that_was_not_reached_wrote_nothing(broken: DynamoStore, faulty: Faulty) -> None:
    for _ in range(2):
        faulty.fault("put_item", unreachable)
    writes = [Write(Key("things", name), b"x", Expect.ABSENT) for name in "ab"]
    with pytest.raises(Unavailable):
        broken.put(writes)
    faulty.fault("put_item", refused("ProvisionedThroughputExceededException"))
    assert words(broken.put(writes)) == ["unknown", "yes"]
    faulty.fault("put_item", refused("ValidationException"))
    assert words(broken.put([Write(KEY, b"x", Expect.ABSENT)])) == ["failed"]


def test_answers_in_parts_are_put_together(broken: DynamoStore, faulty: Faulty) -> None:
    """DynamoDB stops at 16 MB, and names what is left."""
    keys = [Key("things", f"{number:03}") for number in range(120)]
    broken.put([Write(key, key.name.encode()) for key in keys])

    def partly(operation: Any, parameters: dict[str, Any]) -> Any:
        ((table, request),) = parameters["RequestItems"].items()
        first, rest = {**request, "Keys": request["Keys"][:7]}, {**request, "Keys": request["Keys"][7:]}
        return {**operation(RequestItems={table: first}), "UnprocessedKeys": {table: rest}}

    faulty.fault("batch_get_item", partly)
    assert [record and record.value for record in broken.get(keys)] == [key.name.encode() for key in keys]


def test_keys_that_are_never_answered_make_the_store_unavailable(broken: DynamoStore, faulty: Faulty) -> None:
    """Telling them absent would be a lie."""

    def none(_operation: Any, parameters: dict[str, Any]) -> Any:
        return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}

    faulty.fault("batch_get_item", none)
    with pytest.raises(Unavailable):
        broken.get([KEY])


def test_reads_see_what_was_written_before(broken: DynamoStore, faulty: Faulty) -> None:
    """DynamoDB's default is a read that may be a second old."""
    broken.get([KEY])
    broken.scan("things", limit=1)
    (got,), (queried,) = faulty.asked("batch_get_item"), faulty.asked("query")
    assert next(iter(got["RequestItems"].values()))["ConsistentRead"] is True
    assert queried["ConsistentRead"] is True


def test_pages_of_expired_records_do_not_end_a_scan(broken: DynamoStore) -> None:
    broken.put([Write(Key("things", f"{number:03}"), b"", ttl=0.2) for number in range(40)])
    broken.put([Write(Key("things", "last"), b"")])
    time.sleep(0.4)
    assert [name for name, _ in broken.scan("things", limit=2)] == ["last"]
    assert [name for name, _ in broken.scan("things", limit=2, reverse=True)] == ["last"]


def test_without_a_table_every_call_says_what_to_run(bare: Url) -> None:
    store = adapter.store(bare)
    assert store is not None
    calls: list[Callable[[], object]] = [
        lambda: store.get([KEY]),
        lambda: store.put([Write(KEY, b"")]),
        lambda: store.scan("things", limit=1),
        lambda: store.count("things", limit=1),
        store.now,
    ]
    for call in calls:
        with pytest.raises(SetupRequired, match="jobkit setup --url"):
            call()
    store.close()


def test_a_table_of_a_newer_layout_is_left_alone(store: DynamoStore, dynamodb: Any, target: Target) -> None:
    meta = {"collection": {"S": "#meta"}, "name": {"S": "layout"}, "version": {"N": "2"}}
    dynamodb.put_item(TableName=target.table, Item=meta)
    with pytest.raises(SetupRequired, match="upgrade jobkit-sqs"):
        store.get([KEY])


class Skewed(ManualClock):
    """Its wall clock is wrong by an hour."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)


def test_a_wrong_wall_clock_decides_nothing(open_store: Open) -> None:
    """Two holders whose clocks are an hour apart agree on what has expired, and on the time."""
    wrong = open_store(clock=Skewed(datetime.now(UTC)))
    right = open_store()
    assert abs((wrong.now() - right.now()).total_seconds()) < 2
    wrong.put([Write(KEY, b"", ttl=60)])
    assert right.get([KEY])[0] is not None
    right.put([Write(KEY, b"", ttl=60)])
    assert wrong.get([KEY])[0] is not None


def test_replies_narrow_down_the_servers_clock() -> None:
    clock = Skewed()
    server = ServerClock(clock)
    truth = clock.now().timestamp() - 3600 + 0.25
    for step in (0.0, 0.3, 0.2, 0.14, 0.1, 0.01):
        clock.advance(step)
        elapsed = clock.steady()
        server.saw(float(int(truth + elapsed)), asked=elapsed, answered=elapsed)
    assert abs(server.now() - truth - clock.steady()) <= 0.02
    assert server.apart() > 3590


def test_a_right_wall_clock_is_believed_to_the_millisecond() -> None:
    clock = ManualClock()
    server = ServerClock(clock)
    clock.advance(0.7)
    server.saw(float(int(clock.now().timestamp())), asked=0.6, answered=0.7)
    assert server.now() == clock.now().timestamp()
    assert server.apart() == 0


def test_a_server_whose_clock_was_set_is_believed_anew() -> None:
    clock = ManualClock()
    server = ServerClock(clock)
    server.saw(1000.0, asked=0, answered=0)
    server.saw(5000.0, asked=0, answered=0)
    assert 5000 <= server.now() <= 5001


def test_versions_are_random_so_none_recurs(store: DynamoStore) -> None:
    versions = {store.put([Write(KEY, b"same")])[0].version for _ in range(5)}
    store.put([Write(KEY, None)])
    versions.add(store.put([Write(KEY, b"same", Expect.ABSENT)])[0].version)
    assert len(versions) == 6
    assert store.put([Write(KEY, b"", "0" * 24)])[0].answer is Answer.LOST
