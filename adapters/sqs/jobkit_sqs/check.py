"""What a person should know before trusting jobs to this account. Looks, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jobkit.adapter import Finding
from jobkit.clock import SYSTEM_CLOCK
from jobkit.errors import JobKitError, SetupRequired
from jobkit_sqs.counting import queue_urls
from jobkit_sqs.names import name_in_url
from jobkit_sqs.options import Target
from jobkit_sqs.queue_setup import ATTRIBUTES
from jobkit_sqs.service import Service
from jobkit_sqs.setup import is_swept
from jobkit_sqs.store import read_layout

FEW_RECEIVES = 100
"""A redrive policy below it would take jobs away that jobkit is still retrying, snoozing or handing back."""

WRONG_CLOCK = 60.0
"""Seconds; from 300 on AWS takes no request any more."""


def check(target: Target) -> list[Finding]:
    """
    Raises:
        Unavailable, ConfigurationError: There is nothing to look at.
    """
    findings = [*_encryption(target)]
    sqs = Service(target, "sqs", SYSTEM_CLOCK, connections=1)
    try:
        findings += [*_queues(sqs), *_clock(sqs)]
    finally:
        sqs.close()
    if target.options.records:
        findings += _table(target)
    return findings


def _encryption(target: Target) -> Iterator[Finding]:
    for service in ("sqs", "dynamodb"):
        endpoint = target.endpoint(service) or ""
        host = endpoint.removeprefix("http://")
        if endpoint.startswith("http://") and not host.startswith(("127.", "localhost", "[::1]")):
            yield Finding("warning", f"{service}: jobs travel to {endpoint} in plain text", "name an https:// endpoint")


def _queues(service: Service) -> Iterator[Finding]:
    urls = queue_urls(service)
    if not urls:
        yield Finding("error", f"no queue {service.target.stem}*", "run: jobkit setup")
    for url in urls:
        name = name_in_url(url)
        found = service.call("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
        findings = [*_retention(name, found), *_redrive(name, found), *_others(name, found)]
        yield from findings or [Finding("ok", f"queue {name}")]


def _retention(name: str, found: dict[str, str]) -> Iterator[Finding]:
    seconds, wanted = int(found["MessageRetentionPeriod"]), int(ATTRIBUTES["MessageRetentionPeriod"])
    if seconds < wanted:
        what = f"queue {name} keeps jobs for {seconds / 86400:g} days"
        yield Finding("error", what, "SQS deletes what waits longer: run jobkit setup, which sets 14 days")


def _redrive(name: str, found: dict[str, str]) -> Iterator[Finding]:
    policy: dict[str, Any] = json.loads(found.get("RedrivePolicy") or "{}")
    if not policy:
        return
    most, there = int(policy.get("maxReceiveCount", 0)), str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if most < FEW_RECEIVES:
        advice = f"jobkit keeps dead letters itself; remove the policy, or raise maxReceiveCount to {FEW_RECEIVES} and more"
        yield Finding("error", f"queue {name}: after {most} receives SQS moves jobs to {there}", advice)
    else:
        yield Finding("warning", f"queue {name}: after {most} receives SQS moves jobs to {there}", "watch that queue")


def _others(name: str, found: dict[str, str]) -> Iterator[Finding]:
    if found.get("DelaySeconds", "0") != "0":
        yield Finding("warning", f"queue {name} delays every job by {found['DelaySeconds']} s", "run: jobkit setup")
    size = int(found.get("MaximumMessageSize", ATTRIBUTES["MaximumMessageSize"]))
    if size < int(ATTRIBUTES["MaximumMessageSize"]):
        yield Finding("warning", f"queue {name} takes only {size} bytes", "larger jobs are refused; run: jobkit setup")


def _clock(service: Service) -> Iterator[Finding]:
    apart = service.server_clock.apart()
    if abs(apart) > WRONG_CLOCK:
        yield Finding("warning", f"this machine's clock is wrong by {apart:+.0f} s", "AWS refuses requests beyond 300 s")


def _table(target: Target) -> list[Finding]:
    service = Service(target, "dynamodb", SYSTEM_CLOCK, connections=1)
    try:
        return [*_layout(service), *_upkeep(service)]
    except SetupRequired as error:
        return [Finding("error", f"no usable table {target.table}", str(error))]
    finally:
        service.close()


def _layout(service: Service) -> Iterator[Finding]:
    version = read_layout(service)
    yield Finding("ok", f"table {service.target.table}, layout {version}")


def _upkeep(service: Service) -> Iterator[Finding]:
    name = service.target.table
    try:
        swept = is_swept(service)
        backups = service.call("describe_continuous_backups", TableName=name)["ContinuousBackupsDescription"]
    except JobKitError as error:
        yield Finding("warning", f"how table {name} is kept is not to be seen: {error}", "look with a deployer's role")
        return
    if not swept:
        yield Finding("warning", f"table {name}: expired records are never removed", "run: jobkit setup")
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if recovery != "ENABLED":
        yield Finding("warning", f"table {name} has no point-in-time recovery", "dead letters and long delays lie there")
