"""The schema: made and migrated in numbered steps, each one a file of SQL that never changes once released."""

from __future__ import annotations

import json
import time
import zlib
from importlib import resources

from jobkit.adapter import Change
from jobkit.errors import ConfigurationError, SetupRequired
from jobkit_postgres.connection import Connection
from jobkit_postgres.failures import setup_required
from jobkit_postgres.options import Target

VERSION = 3
"""The last step."""

OLDEST_SERVED = 3
"""The oldest schema that this code can work with."""

OLDEST_CLIENT = 3
"""The oldest code, by the version it knows, that can go on working with the schema as it is after `VERSION`."""

SECONDS = 300.0
"""For all of it, waiting for another setup included."""

_BEGIN = "begin; set local statement_timeout = 0; set local client_min_messages = warning"


def steps() -> list[tuple[int, str, str]]:
    """Number, name and text of each step, in order."""
    files = sorted(
        (file for file in resources.files("jobkit_postgres").joinpath("sql").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return [(int(file.name[:4]), file.name[5:-4], file.read_text()) for file in files]


def set_up(target: Target) -> list[Change]:
    """
    Bring the schema to `VERSION`, all or nothing; of several at once, one works and the others wait and find it done.

    Raises:
        Unavailable, ConfigurationError: Nothing was changed.
    """
    deadline = time.monotonic() + SECONDS
    connection = Connection(target, deadline)
    try:
        connection.run_script(f"{_BEGIN}; select pg_advisory_xact_lock({_lock(target)})", deadline)
        # Waiting in a queue for a table's lock would stop everybody who comes after.
        connection.run_script("set local lock_timeout = '10s'", deadline)
        changes = _apply(connection, target, deadline)
        connection.run_script("commit", deadline)
        return changes
    finally:
        connection.close()


def _apply(connection: Connection, target: Target, deadline: float) -> list[Change]:
    changes = _create_schema(connection, target, deadline)
    current = _installed(connection, target, deadline)
    # The functions take this path with them (`set search_path from current`). pg_temp comes last: nobody's temporary
    # table can stand in for one of these.
    connection.run_script(f"set local search_path = {target.schema}, pg_temp", deadline)
    for number, name, text in steps():
        if number > current:
            connection.run_script(text, deadline)
            changes.append(Change(f"schema {target.options.namespace}: step {number}, {name}"))
    if changes:
        connection.run_script(
            f"delete from meta; insert into meta (version, oldest) values ({VERSION}, {OLDEST_CLIENT});"
            f"revoke all on all functions in schema {target.schema} from public",
            deadline,
        )
    return changes


def _create_schema(connection: Connection, target: Target, deadline: float) -> list[Change]:
    found = f"select 1 from pg_namespace where nspname = '{target.options.namespace}'"
    if connection.run_script(found, deadline):
        return []
    ((encoding,),) = connection.run_script("select current_setting('server_encoding')", deadline)
    if encoding != "UTF8":
        raise ConfigurationError(f"{target.masked}: the database's encoding is {encoding}; jobkit needs UTF8")
    connection.run_script(f"create schema {target.schema}", deadline)
    return [Change(f"schema {target.options.namespace}")]


def _installed(connection: Connection, target: Target, deadline: float) -> int:
    """The version in the database, 0 for none. `SetupRequired` if it is beyond what this code knows."""
    ((exists,),) = connection.run_script(f"select to_regclass('{target.options.namespace}.meta') is not null", deadline)
    if not exists:
        return 0
    rows = connection.run_script(f"select version from {target.schema}.meta", deadline)
    version = int(rows[0][0]) if rows else 0
    if version > VERSION:
        raise ConfigurationError(f"{target.masked}: the schema's version {version} is newer than {VERSION}: upgrade first")
    return version


def tear_down(target: Target) -> None:
    """Drop the schema with everything in it."""
    deadline = time.monotonic() + SECONDS
    connection = Connection(target, deadline)
    try:
        connection.run_script(f"{_BEGIN}; select pg_advisory_xact_lock({_lock(target)})", deadline)
        connection.run_script(f"drop schema if exists {target.schema} cascade; commit", deadline)
    finally:
        connection.close()


def read_info(connection: Connection, target: Target, deadline: float) -> tuple[int, int]:
    """
    The schema's version, and the oldest client that it serves.

    Raises:
        SetupRequired: There is none.
    """
    try:
        rows = connection.run_script(f"select {target.schema}.info()", deadline)
    except SetupRequired as error:
        raise setup_required(target.masked, f"there is no schema {target.options.namespace!r}") from error
    if not rows or rows[0][0] is None:
        raise setup_required(target.masked, f"the schema {target.options.namespace!r} is incomplete")
    info = json.loads(rows[0][0])
    return int(info["version"]), int(info["oldest"])


def _lock(target: Target) -> int:
    """One advisory lock per namespace; another program's lock of the same number would only make us wait."""
    return zlib.crc32(f"jobkit setup {target.options.namespace}".encode())
