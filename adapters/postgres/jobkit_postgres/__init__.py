"""jobkit on PostgreSQL."""
