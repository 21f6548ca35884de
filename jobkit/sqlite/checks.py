"""What `check` looks at, without changing anything: not even a missing file is made."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from jobkit.adapter import Finding
from jobkit.errors import ConfigurationError
from jobkit.sqlite import schema
from jobkit.sqlite.database import check_encoding, check_library
from jobkit.sqlite.files import check_place
from jobkit.sqlite.options import Options

LOW_DISK = 256 * 1024 * 1024
"""Bytes. A full disk refuses new jobs; it loses none."""


def check(path: str, options: Options) -> list[Finding]:
    return [*_library(), *_place(path), *_settings(options), *_content(path, options.namespace)]


def _library() -> Iterator[Finding]:
    try:
        check_library()
        yield Finding("ok", f"SQLite {sqlite3.sqlite_version}")
    except ConfigurationError as error:
        yield Finding("error", str(error), "use a Python that was built with a newer SQLite")


def _place(path: str) -> Iterator[Finding]:
    directory = os.path.dirname(os.path.realpath(path))
    try:
        check_place(path)
    except ConfigurationError as error:
        yield Finding("error", str(error), "name a file in an existing directory on a local disk")
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        yield Finding("error", f"{directory} is not writable", "SQLite keeps two more files beside the database there")
    free = shutil.disk_usage(directory).free
    if free < LOW_DISK:
        yield Finding(
            "warning",
            f"{free // 2**20} MiB are left on the disk of {directory}",
            "make room: jobs are refused when it is full",
        )


def _settings(options: Options) -> Iterator[Finding]:
    if options.synchronous == "full":
        yield Finding("ok", "every commit is written through to the disk (synchronous=full)")
    else:
        yield Finding("warning", "a power failure may take the last commits back", "leave out synchronous=normal")


def _content(path: str, namespace: str) -> Iterator[Finding]:
    if not os.path.exists(path):
        yield Finding("ok", f"{path} does not exist yet; it is made on first use")
        return
    if not os.access(path, os.R_OK | os.W_OK):
        yield Finding("error", f"{path} is not readable and writable", "run as its owner, or change its permissions")
        return
    try:
        yield from _opened(path, namespace)
    except (sqlite3.Error, ConfigurationError) as error:
        yield Finding("error", f"{path}: {error}", "name another file, or restore this one")


def _opened(path: str, namespace: str) -> Iterator[Finding]:
    connection = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True, timeout=1.0)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        yield Finding("ok", f"journal mode is {mode}" + ("" if mode == "wal" else "; it becomes wal on first use"))
        check_encoding(connection, path)
        found = schema.look(connection, namespace)
        schema.refuse_newer(found, path)
        if found.version is None:
            yield Finding("ok", f"there are no tables of {namespace!r} yet; they are made on first use")
        else:
            yield Finding("ok", f"tables of {namespace!r}: version {found.version}")
    finally:
        connection.close()
