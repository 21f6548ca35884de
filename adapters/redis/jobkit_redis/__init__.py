"""jobkit on Redis and Valkey: jobs and records, on one server or a cluster."""

from __future__ import annotations

from jobkit_redis.adapter import RedisAdapter, adapter

__all__ = ["RedisAdapter", "adapter"]
