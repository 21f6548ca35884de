"""jobkit on AWS: jobs in SQS standard queues, records in one DynamoDB table."""

from __future__ import annotations

from jobkit_sqs.adapter import SqsAdapter, adapter

__all__ = ["SqsAdapter", "adapter"]
