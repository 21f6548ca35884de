"""Making a queue as jobkit needs it, and seeing whether one is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jobkit.errors import Rejected
from jobkit_sqs.failures import Missing, is_code
from jobkit_sqs.names import aws_name
from jobkit_sqs.service import Service

LAYOUT = "1"
"""The version of how messages lie in a queue, as its tag says."""

QUEUE_TAG = "jobkit-queue"
LAYOUT_TAG = "jobkit-layout"

ATTRIBUTES: Mapping[str, str] = {
    # The longest there is. SQS's own default, four days, would lose what waits over a long weekend and a holiday.
    "MessageRetentionPeriod": str(14 * 86400),
    "MaximumMessageSize": str(1024 * 1024),
    "DelaySeconds": "0",
}


def ensure_queue(service: Service, queue: str) -> list[str]:
    """Make *queue*, or set right what differs; what was changed, in words."""
    name = aws_name(service.target.stem, queue)
    try:
        url = service.call("get_queue_url", QueueName=name)["QueueUrl"]
    except Missing:
        tags = {QUEUE_TAG: queue, LAYOUT_TAG: LAYOUT}
        try:
            service.call("create_queue", QueueName=name, Attributes=dict(ATTRIBUTES), tags=tags)
        except Rejected as error:
            # Somebody else, of another version, has made it at this moment.
            if not is_code(error, "QueueNameExists", "QueueAlreadyExists"):
                raise
            return ensure_queue(service, queue)
        return [f"queue {name}"]
    return _set_right(service, name, url)


def _set_right(service: Service, name: str, url: str) -> list[str]:
    seen = service.call("get_queue_attributes", QueueUrl=url, AttributeNames=list(ATTRIBUTES))["Attributes"]
    wrong = {key: wanted for key, wanted in ATTRIBUTES.items() if float(seen.get(key, math.nan)) != float(wanted)}
    if wrong:
        service.call("set_queue_attributes", QueueUrl=url, Attributes=wrong)
    return [f"queue {name}: {key} {seen.get(key)} -> {wanted}" for key, wanted in wrong.items()]
