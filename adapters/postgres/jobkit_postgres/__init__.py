"""jobkit on PostgreSQL: jobs and records in the database that the application has anyway."""

from __future__ import annotations

from jobkit_postgres.adapter import PostgresAdapter, adapter

__all__ = ["PostgresAdapter", "adapter"]
