"""
Does the real thing answer there?

An open port proves little: a proxy, a starting server and a stranger's program
open ports too. Each probe says the first words of the protocol and looks at
the reply. Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import enum
import http.client
import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qs, urlsplit

TIMEOUT = 2.0
"""Seconds for one probe: a healthy local server takes milliseconds."""


class Answer(enum.Enum):
    READY = "ready"
    REFUSED = "refused"  # the right server, but it does not let these credentials in, or wants more of them
    SILENT = "silent"  # nothing there, or something else


Probe = Callable[[str], Answer]


def postgres(url: str) -> Answer:
    """READY only if the server lets the URL's user into its database without a password."""
    parts = urlsplit(url)
    user = parts.username or "postgres"
    names = ["user", user, "database", parts.path.lstrip("/") or user]
    body = struct.pack("!I", 3 << 16) + b"".join(name.encode() + b"\0" for name in names) + b"\0"
    reply = _ask(parts, 5432, struct.pack("!I", len(body) + 4) + body, 9)
    if reply[:1] == b"R" and reply[5:9] == bytes(4):
        return Answer.READY
    return Answer.REFUSED if reply[:1] in (b"R", b"E") else Answer.SILENT


def redis(url: str) -> Answer:
    reply = _ask(urlsplit(url), 6379, b"PING\r\n", 5)
    if reply == b"+PONG":
        return Answer.READY
    return Answer.REFUSED if reply.startswith((b"-NOAU", b"-ERR ")) else Answer.SILENT


def rabbitmq(url: str) -> Answer:
    """Logs in as far as the server's Tune; a broker that only listens, or that is still booting, is not READY."""
    parts = urlsplit(url)
    login = f"\0{parts.username or 'guest'}\0{parts.password or 'guest'}".encode()
    start_ok = struct.pack("!HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack("!I", len(login)) + login + b"\x05en_US"
    frame = struct.pack("!BHI", 1, 0, len(start_ok)) + start_ok + b"\xce"
    try:
        with _connect(parts, 5672) as sock:
            sock.sendall(b"AMQP\0\0\x09\x01")
            if _amqp_method(sock) != (10, 10):
                return Answer.SILENT
            sock.sendall(frame)
            return Answer.READY if _amqp_method(sock) == (10, 30) else Answer.REFUSED
    except OSError:
        return Answer.SILENT


def moto(url: str) -> Answer:
    """READY for a moto server; any other HTTP server at the endpoint may be another emulator: REFUSED."""
    endpoint = urlsplit(parse_qs(urlsplit(url).query).get("endpoint", [""])[0])
    if not endpoint.hostname:
        return Answer.REFUSED  # the real AWS: only a client with credentials can tell
    connection = http.client.HTTPConnection(endpoint.hostname, endpoint.port or 80, timeout=TIMEOUT)
    try:
        connection.request("GET", "/moto-api/")
        reply = connection.getresponse()
        return Answer.READY if reply.status == 200 and b"oto" in reply.read() else Answer.REFUSED
    except (OSError, http.client.HTTPException):
        return Answer.SILENT
    finally:
        connection.close()


def wait_ready(probe: Probe, url: str, *, seconds: float, alive: Callable[[], bool]) -> bool:
    """Whether the server became READY within *seconds*; gives up early once it is no longer *alive*."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        if probe(url) is Answer.READY:
            return True
        time.sleep(0.1)
    return False


def _ask(parts: SplitResult, default_port: int, question: bytes, length: int) -> bytes:
    """The first *length* bytes of the reply; fewer, perhaps none, if that is all that comes."""
    try:
        with _connect(parts, default_port) as sock:
            sock.sendall(question)
            return _read(sock, length)
    except OSError:
        return b""


def _connect(parts: SplitResult, default_port: int) -> socket.socket:
    sock = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or default_port), timeout=TIMEOUT)
    sock.settimeout(TIMEOUT)
    return sock


def _read(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (piece := sock.recv(length - len(data))):
        data += piece
    return data


def _amqp_method(sock: socket.socket) -> tuple[int, int] | None:
    header = _read(sock, 7)
    if len(header) < 7 or header[0] != 1:
        return None
    payload = _read(sock, struct.unpack("!I", header[3:])[0] + 1)
    if len(payload) < 5:
        return None
    group, method = struct.unpack("!HH", payload[:4])
    return group, method
