"""Making queues and the table, setting right what differs, and removing it all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from jobkit.adapter import Change
from jobkit.clock import SYSTEM_CLOCK
from jobkit.errors import ConfigurationError, JobKitError, Rejected, Unavailable
from jobkit.transport import QUEUE_NAME
from jobkit_sqs import items
from jobkit_sqs.counting import queue_urls
from jobkit_sqs.failures import Missing, is_code
from jobkit_sqs.names import CLOCK
from jobkit_sqs.options import Target
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.queue_setup import ensure_queue
from jobkit_sqs.service import Service

SECONDS = 120.0
"""For the table, which AWS makes and removes while one waits."""

PAUSE = 0.5


def set_up(target: Target, queues: Sequence[str]) -> list[Change]:
    """
    Idempotent, and safe beside running workers and other setups.

    Raises:
        Unavailable, ConfigurationError: Perhaps a part was made; running it again makes the rest.
    """
    for queue in queues:
        if not QUEUE_NAME.fullmatch(queue):
            raise ConfigurationError(f"queue name {queue!r}: allowed are 1 to 80 letters, digits, '_' and '-'")
    changes = _set_up_queues(target, queues) if queues else []
    return [Change(what) for what in (*changes, *(_set_up_table(target) if target.options.records else ()))]


def tear_down(target: Target) -> None:
    """Remove the namespace's queues and its table. SQS lets a queue's name rest for a minute after that."""
    service, parallel = _service(target, "sqs"), Parallel(target.options.parallel)
    try:
        parallel.all(lambda url: _delete_queue(service, url), queue_urls(service))
    finally:
        parallel.close()
        service.close()
    if target.options.records:
        _tear_down_table(target)


def _service(target: Target, name: str) -> Service:
    return Service(target, name, SYSTEM_CLOCK, connections=target.options.parallel)


def _set_up_queues(target: Target, queues: Sequence[str]) -> list[str]:
    service, parallel = _service(target, "sqs"), Parallel(target.options.parallel)
    try:
        made = parallel.all(lambda queue: ensure_queue(service, queue), [*dict.fromkeys(queues), CLOCK])
        return [what for each in made for what in each]
    finally:
        parallel.close()
        service.close()


def _delete_queue(service: Service, url: str) -> None:
    with suppress(Missing):  # somebody else was faster
        service.call("delete_queue", QueueUrl=url)


def _set_up_table(target: Target) -> list[str]:
    service = _service(target, "dynamodb")
    try:
        changes = _create_table(service)
        changes += _sweep_expired(service)
        return changes + _write_layout(service)
    finally:
        service.close()


def _create_table(service: Service) -> list[str]:
    name, end = service.target.table, time.monotonic() + SECONDS
    changes: list[str] = []
    while (status := _status(service)) != "ACTIVE":
        if status is None:
            changes = [f"table {name}"] if _create(service, name) else changes
        if time.monotonic() > end:
            raise Unavailable(f"{service.target.masked}: table {name} is still {status or 'missing'}")
        time.sleep(PAUSE if status else 0)
    return changes


def _create(service: Service, name: str) -> bool:
    """Whether it was this call that began to make it."""
    keys = (("collection", "HASH"), ("name", "RANGE"))
    try:
        service.call(
            "create_table",
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    except JobKitError as error:
        if is_code(error, "ResourceInUseException"):
            return False
        raise
    return True


def _status(service: Service) -> str | None:
    try:
        return str(service.call("describe_table", TableName=service.target.table)["Table"]["TableStatus"])
    except Missing:
        return None


def _sweep_expired(service: Service) -> list[str]:
    """Let DynamoDB remove what has expired; nothing relies on it but the bill."""
    name = service.target.table
    if is_swept(service):
        return []
    wanted: dict[str, Any] = {"Enabled": True, "AttributeName": "ttl"}
    try:
        service.call("update_time_to_live", TableName=name, TimeToLiveSpecification=wanted)
    except Rejected:
        if not is_swept(service):
            raise
        return []
    return [f"table {name}: expired records are removed"]


def is_swept(service: Service) -> bool:
    reply = service.call("describe_time_to_live", TableName=service.target.table)
    return reply["TimeToLiveDescription"].get("TimeToLiveStatus") in ("ENABLED", "ENABLING")


def _write_layout(service: Service) -> list[str]:
    """Never over a newer one."""
    now = {":layout": {"N": str(items.LAYOUT)}}
    try:
        service.call(
            "put_item",
            TableName=service.target.table,
            Item={**items.META_KEY, "version": now[":layout"]},
            ConditionExpression="attribute_not_exists(#version) OR #version < :layout",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues=now,
        )
    except Rejected as error:
        if is_code(error, "ConditionalCheckFailedException"):
            return []
        raise
    return [f"table {service.target.table}: layout {items.LAYOUT}"]


def _tear_down_table(target: Target) -> None:
    service, end = _service(target, "dynamodb"), time.monotonic() + SECONDS
    try:
        while (status := _status(service)) is not None:
            if status != "DELETING":
                _delete_table(service)
            if time.monotonic() > end:
                raise Unavailable(f"{target.masked}: table {target.table} is still {status}")
            if _status(service) is not None:
                time.sleep(PAUSE)
    finally:
        service.close()


def _delete_table(service: Service) -> None:
    try:
        service.call("delete_table", TableName=service.target.table)
    except Missing:
        pass
    except JobKitError as error:
        if not is_code(error, "ResourceInUseException"):  # it is being made, or removed, at this moment
            raise
