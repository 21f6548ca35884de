"""
Waking receivers in other processes: each one that waits has a socket of its own, and whoever has sent rings them all.

A bell is a hint and never a promise. It may be full, or missing (no Unix sockets, another temporary directory, a sender
inside somebody's own transaction), so receivers look for themselves every `LOOK_EVERY` seconds as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Iterator

LOOK_EVERY = 0.2
"""Seconds. Waking an idle process costs more than the look itself: five times a second is a thousandth of a core or two."""

LOOK_OFTEN = 0.05
"""Seconds, while messages have come in lately: one sent in somebody's own transaction then waits less for a look."""

LATELY = 2.0


class Doorbell:
    """
    The bell of one file, for all its namespaces: a wrong ring costs one look.

    Args:
        path: The file's. Its real path names the bell, so that links to one file share one.
        root: Where the sockets lie; by default a directory of this user's own under the temporary one.
    """

    def __init__(self, path: str, root: str | None = None) -> None:
        self._path = path
        self._root = root
        self._prefix: str | None = None

    @contextlib.contextmanager
    def listen(self) -> Iterator[Ear]:
        """Be rung until the context ends. What happened before must be looked for afterwards."""
        bound = self._bind()
        try:
            yield Ear(bound)
        finally:
            if bound is not None:
                _remove(bound.getsockname())
                bound.close()

    def ring(self) -> None:
        """Wake everyone who listens, without waiting for anybody."""
        if not hasattr(socket, "AF_UNIX"):
            return
        with contextlib.suppress(OSError):
            root, prefix = self._directory(), self._name()
            found = [entry for entry in os.listdir(root) if entry.startswith(prefix)]
            if found:
                self._ring_all([os.path.join(root, entry) for entry in found])

    def _ring_all(self, addresses: list[str]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for address in addresses:
                try:
                    sender.sendto(b"!", address)
                except ConnectionRefusedError:  # its process was killed; the name will not be used again
                    _remove(address)
                except OSError:
                    # Full: then it is about to wake anyway. Gone: then it no longer waits.
                    continue

    def _bind(self) -> socket.socket | None:
        if not hasattr(socket, "AF_UNIX"):
            return None
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name = f"{self._name()}{os.getpid()}-{secrets.token_hex(4)}"
            bound.bind(os.path.join(self._directory(), name))
        except OSError:
            bound.close()
            return None
        return bound

    def _name(self) -> str:
        if self._prefix is None:
            real = os.fsencode(os.path.realpath(self._path))
            self._prefix = hashlib.sha256(real).hexdigest()[:16] + "."
        return self._prefix

    def _directory(self) -> str:
        root = self._root or os.path.join(tempfile.gettempdir(), f"jobkit-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(root, 0o700)
        status = os.lstat(root)
        # In a directory of somebody else's we would ring and remove what is not ours.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise PermissionError(f"{root} is not a private directory of this user")
        return root


class Ear:
    """One listener."""

    def __init__(self, bound: socket.socket | None) -> None:
        self._bound = bound

    def wait(self, timeout: float) -> None:
        """Until the bell rings, for *timeout* seconds at most."""
        if self._bound is None:
            time.sleep(timeout)
            return
        self._bound.settimeout(max(timeout, 0.001))
        with contextlib.suppress(TimeoutError, InterruptedError):
            self._bound.recv(1)


def _remove(address: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(address)
