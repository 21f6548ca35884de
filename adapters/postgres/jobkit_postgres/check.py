"""What a person should know before trusting jobs to this server. Looks, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from jobkit.adapter import Finding
from jobkit.errors import JobKitError, SetupRequired
from jobkit_postgres.connection import Connection
from jobkit_postgres.options import Target
from jobkit_postgres.setup import VERSION, read_info

OLDEST_SERVER = 130000
LONG_TRANSACTION = 1800
"""Seconds for which a transaction may stay open before dead rows that it keeps alive are felt."""

MANY_DEAD = 100_000

Ask = Callable[[str], list[list[object]]]


def check(target: Target) -> list[Finding]:
    """
    Raises:
        Unavailable, ConfigurationError: There is nothing to look at.
    """
    deadline = time.monotonic() + target.options.timeout
    connection = Connection(target, deadline)

    def ask(sql: str) -> list[list[object]]:
        return connection.run_script(sql, deadline)

    try:
        return [
            *_encryption(target),
            *_server(ask),
            *_durability(ask),
            *_schema(connection, target, deadline),
            *_permissions(ask, target),
            *_upkeep(ask, target),
        ]
    finally:
        connection.close()


def _encryption(target: Target) -> Iterator[Finding]:
    if not target.is_local and not target.options.ssl:
        yield Finding("warning", f"jobs travel to {target.host} in plain text", "add ssl=true to the URL")


def _server(ask: Ask) -> Iterator[Finding]:
    ((number, version, standby, encoding),) = ask(
        "select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),"
        " current_setting('server_encoding')"
    )
    if int(str(number)) < OLDEST_SERVER:
        yield Finding("error", f"PostgreSQL {version}", "jobkit needs 13 or later")
    else:
        yield Finding("ok", f"PostgreSQL {version}")
    if standby:
        yield Finding("error", "this server is a standby, on which nothing can be written", "name the primary in the URL")
    if encoding != "UTF8":
        yield Finding("error", f"the database's encoding is {encoding}", "create one with encoding UTF8")


_DURABLE = (
    ("fsync", ("on",), "error", "a crash of the machine loses jobs or corrupts the database: set fsync = on"),
    ("full_page_writes", ("on",), "error", "a crash can corrupt the database: set full_page_writes = on"),
)


def _durability(ask: Ask) -> Iterator[Finding]:
    settings = {
        str(name): (str(value), str(reset))
        for name, value, reset in ask(
            "select name, setting, reset_val from pg_settings"
            " where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum')"
        )
    }
    for name, wanted, _, advice in _DURABLE:
        value = settings[name][0]
        yield Finding("ok", f"{name} = {value}") if value in wanted else Finding("error", f"{name} = {value}", advice)
    # jobkit switches it on for its own connections; the role's default is what an application's own transactions get.
    if settings["synchronous_commit"][1] == "off":
        advice = "set it on for this role: jobs enqueued in the application's own transactions may be lost in a crash"
        yield Finding("warning", "synchronous_commit = off by default", advice)
    if settings["autovacuum"][0] == "off":
        yield Finding(
            "warning", "autovacuum = off", "set it on: every job leaves dead rows, and claims slow down without end"
        )


def _schema(connection: Connection, target: Target, deadline: float) -> Iterator[Finding]:
    try:
        version, _ = read_info(connection, target, deadline)
    except SetupRequired as error:
        yield Finding("error", f"no usable schema {target.options.namespace!r}", str(error))
        return
    except JobKitError as error:
        yield Finding("error", str(error), "grant this role usage of the schema and execution of its functions")
        return
    if version < VERSION:
        yield Finding("error", f"schema version {version}, and this jobkit knows {VERSION}", "run: jobkit setup")
    elif version > VERSION:
        yield Finding("warning", f"schema version {version}, made by a newer jobkit", "upgrade jobkit-postgres here")
    else:
        yield Finding("ok", f"schema version {version}")


def _permissions(ask: Ask, target: Target) -> Iterator[Finding]:
    rows = ask(
        "select p.proname, has_function_privilege(p.oid, 'execute') and has_schema_privilege(n.oid, 'usage')"
        " from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where n.nspname = '{target.options.namespace}' and p.proname in ('send', 'receive', 'settle', 'extend', 'put')"
    )
    denied = sorted(str(name) for name, allowed in rows if not allowed)
    if denied:
        advice = "right for a role that needs less; a worker needs them all (see the adapter's README)"
        yield Finding("warning", f"{target.user} may not call {', '.join(denied)}", advice)
    elif rows:
        yield Finding("ok", f"{target.user} may send, receive and store")


def _upkeep(ask: Ask, target: Target) -> Iterator[Finding]:
    ((age,),) = ask(
        "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::int from pg_stat_activity"
        " where backend_xmin is not null and pid <> pg_backend_pid() and datname = current_database()"
    )
    if int(str(age)) > LONG_TRANSACTION:
        advice = "end it: nothing that died since can be removed, and claims slow down"
        yield Finding("warning", f"a transaction has been open for {age} s", advice)
    rows = ask(
        "select relname, n_dead_tup, n_live_tup from pg_stat_user_tables"
        f" where schemaname = '{target.options.namespace}' and n_dead_tup > {MANY_DEAD} + n_live_tup"
    )
    for table, dead, live in rows:
        advice = "see whether autovacuum runs, and what holds it back: long transactions, replication slots"
        yield Finding("warning", f"table {table} holds {dead} dead rows beside {live} living", advice)
