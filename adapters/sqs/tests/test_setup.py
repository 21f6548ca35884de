"""Queues and table: made by setup only, set right where they differ, removed whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobkit.errors import ConfigurationError, SetupRequired
from jobkit.transport import Message
from jobkit.url import Url
from jobkit_sqs import adapter
from jobkit_sqs.options import Target
from jobkit_sqs.transport import SqsTransport

Open = Callable[..., SqsTransport]
Make = Callable[..., Message]


def test_setup_makes_queues_that_keep_jobs_for_fourteen_days(url: Url, sqs: Any, queue_url: Callable[[str], str]) -> None:
    found = sqs.get_queue_attributes(QueueUrl=queue_url("q--high"), AttributeNames=["All"])["Attributes"]
    assert found["MessageRetentionPeriod"] == str(14 * 86400)
    assert found["MaximumMessageSize"] == str(1024 * 1024)
    assert sqs.list_queue_tags(QueueUrl=queue_url("q--high"))["Tags"]["jobkit-queue"] == "q--high"


def test_setup_says_what_it_changed_and_nothing_the_second_time(bare: Url) -> None:
    target = Target.of(bare)
    changes = [change.what for change in adapter.setup(bare, ["q"])]
    assert f"queue {target.stem}q" in changes
    assert f"table {target.table}" in changes
    assert adapter.setup(bare, ["q"]) == []
    assert [change.what for change in adapter.setup(bare, ["q", "r"])] == [f"queue {target.stem}r"]


def test_setup_sets_right_what_was_changed_and_keeps_what_lies_there(
    url: Url, transport: SqsTransport, sqs: Any, queue_url: Callable[[str], str], message: Make
) -> None:
    transport.send([message("kept")])
    sqs.set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"MessageRetentionPeriod": "60", "DelaySeconds": "5"})
    (first, second) = sorted(change.what for change in adapter.setup(url, ["q"]))
    assert ("DelaySeconds" in first, "MessageRetentionPeriod 60 -> 1209600" in second) == (True, True)
    assert transport.depth(["q"])[0].ready == 1


def test_setups_at_the_same_time_do_not_disturb_each_other(bare: Url) -> None:
    with ThreadPoolExecutor(4) as executor:
        for future in [executor.submit(adapter.setup, bare, ["q", "r"]) for _ in range(4)]:
            future.result(60)
    assert adapter.setup(bare, ["q", "r"]) == []


def test_nothing_is_made_at_run_time(bare: Url, sqs: Any, message: Make) -> None:
    transport = adapter.transport(bare)
    with pytest.raises(SetupRequired, match="jobkit setup --url"):
        transport.send([message("a")])
    with pytest.raises(SetupRequired):
        transport.depth(["q"])
    transport.close()
    assert sqs.list_queues(QueueNamePrefix=Target.of(bare).stem).get("QueueUrls", []) == []


def test_a_batch_of_which_one_queue_is_missing_sends_nothing(transport: SqsTransport, message: Make) -> None:
    with pytest.raises(SetupRequired, match="'nowhere'"):
        transport.send([message("a"), message("b", queue="nowhere")])
    assert transport.depth(["q"])[0].ready == 0


def test_queues_are_made_at_run_time_where_the_url_asks_for_it(bare: Url, sqs: Any, message: Make) -> None:
    transport = adapter.transport(bare.with_params(auto_create="true"))
    assert transport.send([message("a")])[0].answer.value == "yes"
    transport.close()
    (made,) = sqs.list_queues(QueueNamePrefix=Target.of(bare).stem)["QueueUrls"]
    found = sqs.get_queue_attributes(QueueUrl=made, AttributeNames=["MessageRetentionPeriod"])["Attributes"]
    assert found["MessageRetentionPeriod"] == str(14 * 86400)


def test_no_table_is_made_where_records_lie_elsewhere(bare: Url, dynamodb: Any) -> None:
    adapter.setup(bare.with_params(records="false"), ["q"])
    assert Target.of(bare).table not in dynamodb.list_tables()["TableNames"]


def test_no_queue_is_made_for_a_url_that_is_only_a_store(bare: Url, sqs: Any, dynamodb: Any) -> None:
    adapter.setup(bare, [])
    assert Target.of(bare).table in dynamodb.list_tables()["TableNames"]
    assert sqs.list_queues(QueueNamePrefix=Target.of(bare).stem).get("QueueUrls", []) == []


def test_teardown_takes_this_namespace_and_no_other(url: Url, server: Url, sqs: Any, dynamodb: Any) -> None:
    neighbour = server.with_params(namespace=f"{url.params['namespace']}_")
    adapter.setup(neighbour, ["q"])
    try:
        for _ in range(2):
            adapter.teardown(url)
        assert sqs.list_queues(QueueNamePrefix=Target.of(url).stem).get("QueueUrls", []) == []
        assert len(sqs.list_queues(QueueNamePrefix=Target.of(neighbour).stem)["QueueUrls"]) == 2
        assert Target.of(neighbour).table in dynamodb.list_tables()["TableNames"]
    finally:
        adapter.teardown(neighbour)


def test_names_that_were_cut_come_back_whole(bare: Url, message: Make) -> None:
    url = bare.with_params(prefix="p" * 16, namespace="n" * 40)
    try:
        adapter.setup(url, ["x" * 80, "y" * 80, "short"])
        transport = adapter.transport(url)
        transport.send([message("a", queue="x" * 80)])
        found = {depth.queue: depth.ready for depth in transport.depth([])}
        transport.close()
        assert found == {"short": 0, "x" * 80: 1, "y" * 80: 0}
    finally:
        adapter.teardown(url)


def test_a_bad_queue_name_is_refused_before_anything_is_made(bare: Url, sqs: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"dot\.ted"):
        adapter.setup(bare, ["q", "dot.ted"])
    assert sqs.list_queues(QueueNamePrefix=Target.of(bare).stem).get("QueueUrls", []) == []
