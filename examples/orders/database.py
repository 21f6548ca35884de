"""
The shop's own tables. They live in the database that also holds the jobs, so one transaction can write both; where the jobs
are elsewhere, on Redis, RabbitMQ or SQS, it holds the outbox.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import attrs
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Date,
    Engine,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateSchema

from examples.orders.order_log import Order, RejectedRow, Row
from jobkit import config
from jobkit.url import Url

tables = MetaData()

# Each line of a log has one row, here or among the rejected ones; the keys see to it that it has no second one.
orders = Table(
    "orders",
    tables,
    Column("log", String, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("customer", String, nullable=False),
    Column("day", Date, nullable=False),
    Column("discs", Integer, nullable=False),
    Column("dollars", Numeric(9, 2), nullable=False),
    Column("remark", String, nullable=False),
)
rejected_rows = Table(
    "rejected_rows",
    tables,
    Column("log", String, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("text", String, nullable=False),
    Column("reason", String, nullable=False),
)


def choose(transport: Url, folder: Path) -> None:
    """Where the backend is no SQL database and no outbox is named, the shop's is a file in *folder*."""
    if transport.scheme not in ("sqlite", "postgresql"):
        os.environ.setdefault(config.OUTBOX_VARIABLE, f"sqlite:///{folder}/shop.db")


def home(backends: config.Backends) -> Url:
    """The database in which orders and their jobs are written together."""
    return backends.outbox or backends.transport


@cache
def engine(jobs_url: Url) -> Engine:
    """One for the process: SQLAlchemy's way into the database that holds the jobs."""
    if jobs_url.scheme == "sqlite":
        return create_engine(f"sqlite:///{jobs_url.path}", connect_args={"timeout": 30})
    if jobs_url.scheme == "postgresql":
        user, host = (jobs_url.username, jobs_url.password), (jobs_url.host, jobs_url.port)
        url = URL.create("postgresql+psycopg", *user, *host, jobs_url.path)
        return create_engine(url, execution_options={"schema_translate_map": {None: schema(jobs_url)}})
    raise SystemExit(f"{jobs_url}: the shop keeps its orders beside its jobs, in SQLite or Postgres")


def schema(jobs_url: Url) -> str:
    """The schema of the shop's tables on Postgres, beside that of the jobs."""
    return f"{jobs_url.params.get('namespace', 'jobkit')}_shop"


def create_tables(jobs_url: Url) -> Engine:
    """Make them anew, empty; returns the way to them."""
    opened = engine(jobs_url)
    with opened.begin() as connection:
        if jobs_url.scheme == "postgresql":
            connection.execute(CreateSchema(schema(jobs_url), if_not_exists=True))
        tables.drop_all(connection)
        tables.create_all(connection)
    return opened


def add(connection: Connection, rows: Sequence[Row]) -> list[Order]:
    """
    Write *rows*, and return those of them that are orders.

    Raises:
        IntegrityError: Somebody else has written one of them already; nothing of this transaction can be committed.
    """
    found = [row for row in rows if isinstance(row, Order)]
    rejected = [row for row in rows if isinstance(row, RejectedRow)]
    for table, values in ((orders, found), (rejected_rows, rejected)):
        if values:
            connection.execute(insert(table), [attrs.asdict(value) for value in values])
    return found


def lines_taken_over(connection: Connection, log: str) -> int:
    """How many lines of *log* have a row. They are written in order, so these are its first ones."""
    return sum(
        connection.execute(select(func.count()).select_from(table).where(table.c.log == log)).scalar_one()
        for table in (orders, rejected_rows)
    )


def count_orders(connection: Connection) -> tuple[int, int]:
    """All of them, and those that cost something."""
    every = select(func.count()).select_from(orders)
    return connection.execute(every).scalar_one(), connection.execute(every.where(orders.c.dollars > 0)).scalar_one()
