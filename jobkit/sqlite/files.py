"""Where the file lies: SQLite's WAL needs memory shared by all its users, so the file system must be this host's own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from jobkit.errors import ConfigurationError

MOUNTS = Path("/proc/self/mounts")

FOREIGN = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|virtiofs|vboxsf|vmhgfs|prl_fs|afs|ceph|lustre|gfs2?|ocfs2|gpfs|davfs"
    r"|fuse|fuse\..*",
)
"""
File systems that another machine may change, or a guest's host. A fuse one may be local, but nobody can tell.

``fuseblk`` is missing on purpose: that is a block device of this machine.
"""


def check_place(path: str) -> None:
    """
    Raises:
        ConfigurationError: The directory is missing, or lies on a file system on which jobs would get corrupted.
    """
    directory = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(directory):
        raise ConfigurationError(f"the directory of {path} does not exist")
    kind = file_system(directory, MOUNTS)
    if kind is not None and FOREIGN.fullmatch(kind):
        raise ConfigurationError(
            f"{path} lies on a network or shared file system ({kind}), where SQLite can not keep jobs safe;"
            " use a local disk, or a database server"
        )


def file_system(directory: str, mounts: Path) -> str | None:
    """The type of the file system that holds *directory* (a real path); None where there is no mount table."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    best, kind = "", None
    for line in table.splitlines():
        _, point, found, *_ = line.split(" ")
        point = _unescaped(point)
        # Of several mounts on one point the last one counts, hence >=.
        if _holds(point, directory) and len(point) >= len(best):
            best, kind = point, found
    return kind


def _holds(point: str, directory: str) -> bool:
    return directory == point or directory.startswith(point.rstrip("/") + "/")


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
