"""jobkit on RabbitMQ: jobs in quorum queues, each one confirmed. Records need a store beside it."""

from __future__ import annotations

from jobkit_rabbitmq.adapter import RabbitmqAdapter, adapter

__all__ = ["RabbitmqAdapter", "adapter"]
