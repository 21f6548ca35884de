"""What `jobkit doctor` would say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.adapter import Finding
from jobkit.errors import Unavailable
from jobkit.url import Url
from jobkit_sqs import adapter
from jobkit_sqs.options import Target


def found(url: Url, level: str) -> str:
    return "\n".join(f"{one.what}: {one.advice}" for one in adapter.check(url) if one.level == level)


def test_what_setup_made_is_well_but_for_backups(url: Url) -> None:
    assert found(url, "error") == ""
    assert found(url, "warning").count("\n") == 0
    assert "point-in-time recovery" in found(url, "warning")


def test_what_is_missing_is_an_error(bare: Url) -> None:
    assert "no queue" in found(bare, "error")
    assert "no usable table" in found(bare, "error")
    assert "no usable table" not in found(bare.with_params(records="false"), "error")


def test_a_short_retention_would_lose_jobs(url: Url, sqs: Any, queue_url: Callable[[str], str]) -> None:
    sqs.set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"MessageRetentionPeriod": str(4 * 86400)})
    assert f"{Target.of(url).stem}q keeps jobs for 4 days" in found(url, "error")


@pytest.mark.parametrize(("most", "level"), [("5", "error"), ("500", "warning")])
def test_a_redrive_policy_takes_jobs_away(
    most: str, level: str, url: Url, sqs: Any, queue_url: Callable[[str], str]
) -> None:
    adapter.setup(url, ["dead"])
    arn = sqs.get_queue_attributes(QueueUrl=queue_url("dead"), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": most})
    sqs.set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"RedrivePolicy": policy})
    assert f"after {most} receives SQS moves jobs to {Target.of(url).stem}dead" in found(url, level)


def test_a_delay_and_a_small_size_surprise(url: Url, sqs: Any, queue_url: Callable[[str], str]) -> None:
    sqs.set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"DelaySeconds": "3", "MaximumMessageSize": "262144"})
    warnings = found(url, "warning")
    assert "delays every job by 3 s" in warnings
    assert "takes only 262144 bytes" in warnings


def test_plain_text_off_this_host_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    url = Url.parse("sqs://us-east-1?endpoint=http://sqs.example&records=false&timeout=1")
    monkeypatch.setattr("jobkit_sqs.check._queues", lambda _: iter(()))
    assert any(one == Finding("warning", one.what, one.advice) and "plain text" in one.what for one in adapter.check(url))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        adapter.check(Url.parse("sqs://us-east-1?endpoint=http://127.0.0.1:9&timeout=2"))
