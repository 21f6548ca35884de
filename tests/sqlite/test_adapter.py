"""jobkit/sqlite/adapter.py and its neighbours: URLs, the file's place, setup, teardown, check, and files that do not fit."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from jobkit.adapter import LINE, Adapter, Finding
from jobkit.errors import ConfigurationError, SetupRequired, Unavailable
from jobkit.sqlite import SqliteAdapter, adapter, files
from jobkit.sqlite.options import path_of
from jobkit.sqlite.transport import SqliteTransport
from jobkit.transport import Message
from jobkit.url import Url

from .conftest import Open

MESSAGE = Message(id="a", queue="q", body=b"x")


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level for finding in findings}


def test_the_entry_point_is_an_adapter_of_this_line() -> None:
    checked: Adapter = adapter
    assert isinstance(checked, SqliteAdapter)
    assert checked.line == LINE


def test_a_relative_path_is_fixed_when_the_transport_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    transport = adapter.transport(Url.parse("sqlite:///jobs.db"))
    monkeypatch.chdir("/")
    transport.send([MESSAGE])
    transport.close()
    assert (tmp_path / "jobs.db").exists()


@pytest.mark.parametrize("name", ["with space.db", "q?mark.db", "hash#.db", "100%.db", "ümlaut.db", "semi;colon'.db"])
def test_a_file_may_have_any_name(tmp_path: Path, open_transport: Open, name: str) -> None:
    url = Url(scheme="sqlite", path=f"{tmp_path}/{name}")
    open_transport(Url.parse(url.text())).send([MESSAGE])
    assert (tmp_path / name).exists()
    assert levels(adapter.check(url)) == {"ok"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://jobs.db", "three slashes"),
        ("sqlite://user@/jobs.db", "three slashes"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///folder/", "file's path"),
        ("sqlite:///jobs.db?namespase=x", "did you mean 'namespace'"),
        ("sqlite:///jobs.db?namespace=X", "namespace 'X'"),
        ("sqlite:///jobs.db?synchronous=off", "synchronous"),
        ("sqlite:///jobs.db?timeout=soon", "timeout"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_by_name(text: str, complaint: str) -> None:
    for use in (adapter.transport, adapter.store, adapter.check):
        with pytest.raises(ConfigurationError, match=complaint):
            use(Url.parse(text))


def test_setup_tells_what_it_made_and_nothing_the_second_time(url: Url) -> None:
    assert [change.what for change in adapter.setup(url, ["q"])] == ["created the tables jobkit_* (version 1)"]
    assert adapter.setup(url, ["q"]) == []


def test_teardown_removes_its_namespace_and_nothing_else(url: Url, open_transport: Open) -> None:
    adapter.teardown(url)
    assert not os.path.exists(path_of(url))
    other = url.with_params(namespace="other")
    open_transport(url).send([MESSAGE])
    open_transport(other).send([MESSAGE])
    adapter.teardown(url)
    adapter.teardown(url)
    with closing(sqlite3.connect(path_of(url))) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"other_job", "other_record", "other_meta", "sqlite_sequence"}


def test_tables_that_were_removed_under_a_running_handle_are_told_and_made_anew(
    url: Url, transport: SqliteTransport
) -> None:
    transport.send([MESSAGE])
    adapter.teardown(url)
    with pytest.raises(SetupRequired, match="jobkit setup"):
        transport.send([MESSAGE])
    transport.send([MESSAGE])
    assert transport.depth(["q"])[0].ready == 1


def test_the_settings_of_every_connection_are_the_safe_ones(url: Url, open_transport: Open) -> None:
    for given, level in ((url, 2), (url.with_params(synchronous="normal"), 1)):
        database = open_transport(given)._database
        assert database.read(lambda connection: connection.execute("PRAGMA synchronous").fetchall()) == [(level,)]
        assert database.read(lambda connection: connection.execute("PRAGMA journal_mode").fetchall()) == [("wal",)]


def test_check_makes_nothing_and_finds_nothing_wrong_before_and_after_the_first_use(url: Url, tmp_path: Path) -> None:
    assert levels(adapter.check(url)) == {"ok"}
    assert list(tmp_path.iterdir()) == []
    adapter.setup(url, [])
    findings = adapter.check(url)
    assert levels(findings) == {"ok"}
    assert "tables of 'jobkit': version 1" in [finding.what for finding in findings]
    assert levels(adapter.check(url.with_params(synchronous="normal"))) == {"ok", "warning"}


def test_a_file_that_is_no_database_is_refused_and_found(url: Url, transport: SqliteTransport) -> None:
    Path(path_of(url)).write_bytes(b"This is a letter to my aunt. " * 100)
    with pytest.raises(ConfigurationError, match="no SQLite database"):
        transport.send([MESSAGE])
    assert "error" in levels(adapter.check(url))


def test_a_newer_schema_is_refused_and_found(url: Url, transport: SqliteTransport) -> None:
    adapter.setup(url, [])
    with closing(sqlite3.connect(path_of(url))) as connection:
        connection.execute("UPDATE jobkit_meta SET version = 99")
        connection.commit()
    with pytest.raises(ConfigurationError, match="version 99, made by a newer jobkit"):
        transport.send([MESSAGE])
    assert "error" in levels(adapter.check(url))


def test_a_file_that_keeps_text_as_utf16_is_refused(url: Url, transport: SqliteTransport) -> None:
    with closing(sqlite3.connect(path_of(url))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16'")
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        transport.send([MESSAGE])
    assert "error" in levels(adapter.check(url))


def test_a_missing_directory_is_a_clear_error(tmp_path: Path, open_transport: Open) -> None:
    url = Url.parse(f"sqlite:///{tmp_path}/missing/jobs.db")
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_transport(url).send([MESSAGE])
    assert "error" in levels(adapter.check(url))


def test_a_file_that_can_not_be_opened_is_unavailable_with_the_cause(tmp_path: Path, open_transport: Open) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(Unavailable) as caught:
        open_transport(Url.parse(f"sqlite:///{tmp_path}/folder.db")).send([MESSAGE])
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_an_applications_own_tables_stay_as_they_are(url: Url, transport: SqliteTransport) -> None:
    with closing(sqlite3.connect(path_of(url))) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO orders VALUES (1)")
        connection.commit()
        transport.send([MESSAGE])
        adapter.teardown(url)
        assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /srv/net nfs4 rw 0 0
/dev/sdb1 /srv/net/local xfs rw 0 0
share /srv/my\\040share 9p rw 0 0
drive /srv/fuse fuse.sshfs rw 0 0
/dev/sdc1 /srv/ntfs fuseblk rw 0 0
/dev/sdd1 /srv/over ext4 rw 0 0
host /srv/over virtiofs rw 0 0
"""


@pytest.mark.parametrize(
    ("directory", "kind", "refused"),
    [
        ("/", "ext4", False),
        ("/srv/network", "ext4", False),
        ("/srv/net", "nfs4", True),
        ("/srv/net/deep/er", "nfs4", True),
        ("/srv/net/local/x", "xfs", False),
        ("/srv/my share/x", "9p", True),
        ("/srv/fuse/x", "fuse.sshfs", True),
        ("/srv/ntfs/x", "fuseblk", False),
        ("/srv/over", "virtiofs", True),
    ],
)
def test_the_file_system_is_read_from_the_mount_table(tmp_path: Path, directory: str, kind: str, refused: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert files.file_system(directory, mounts) == kind
    assert bool(files.FOREIGN.fullmatch(kind)) == refused


def test_a_file_on_a_network_file_system_is_refused_at_first_use_and_found(
    url: Url, transport: SqliteTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {os.path.realpath(tmp_path)} nfs rw 0 0\n")
    monkeypatch.setattr(files, "MOUNTS", mounts)
    with pytest.raises(ConfigurationError, match=r"network or shared file system \(nfs\)"):
        transport.receive(["q"], limit=1, wait=0, lease=1, stop=threading.Event())
    assert "error" in levels(adapter.check(url))
    assert not os.path.exists(path_of(url))
