"""
The embedded default: jobs and records in one SQLite file, shared by the processes of one host.

``sqlite:///jobs.db`` is a file beside the program, ``sqlite:////var/lib/shop/jobs.db`` an absolute path. It may well be the
application's own database: then jobs can be enqueued in the application's own transactions.
"""

from jobkit.sqlite.adapter import SqliteAdapter, adapter

__all__ = ["SqliteAdapter", "adapter"]
