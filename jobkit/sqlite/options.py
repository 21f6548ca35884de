"""What a ``sqlite://`` URL may say, and the file that it names."""

from __future__ import annotations

import os

import attrs

from jobkit.adapter import check_namespace
from jobkit.errors import ConfigurationError
from jobkit.url import Url


@attrs.frozen
class Options:
    """
    The options of the URL.

    Attributes:
        namespace: The prefix of the tables.
        synchronous: ``full`` writes every commit through to the disk. ``normal`` is faster, and a power failure may take
            the last commits back; a crash of a process never does.
        timeout: Seconds to wait for another process's write to end.
    """

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    synchronous: str = attrs.field(default="full", validator=attrs.validators.in_(("full", "normal")))
    timeout: float = 10.0


def path_of(url: Url) -> str:
    """
    The absolute path of the file that *url* names. Fixed here, so that a later change of directory changes nothing.

    Raises:
        ConfigurationError: It names none, or one that only a single connection could see.
    """
    if url.host is not None or url.username is not None or url.port is not None:
        raise ConfigurationError(
            f"sqlite URL: {url.host or url.username!r} stands where a host would; a relative path has three slashes,"
            " as in sqlite:///jobs.db, an absolute one four"
        )
    if not url.path:
        raise ConfigurationError("sqlite URL: it names no file; one looks like sqlite:///jobs.db")
    if url.path == ":memory:":
        raise ConfigurationError("sqlite URL: :memory: can not be shared; use memory:// or a file")
    if "\0" in url.path or url.path.endswith("/"):
        raise ConfigurationError(f"sqlite URL: {url.path!r} can not be a file's path")
    return os.path.abspath(url.path)
