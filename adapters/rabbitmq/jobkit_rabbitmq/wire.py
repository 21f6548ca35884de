"""One connection to the server: how it is made, read and left. For the thread that made it, and no other."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any, cast

from amqp import spec
from amqp.exceptions import AMQPError, UnexpectedFrame
from kombu.connection import Connection
from kombu.transport import pyamqp

from jobkit_rabbitmq.failures import translated
from jobkit_rabbitmq.options import Target

_CHUNK = 256 * 1024
_HEADER = struct.Struct(">BHI")
_FRAME_END = 0xCE
_FAREWELL = 1.0
"""Seconds that the server has to say goodbye."""


class Wire:
    """
    An open connection.

    Attributes:
        blocked: Why the server takes no messages at the moment (it is short of memory or disk); empty if it does.
    """

    def __init__(self, target: Target, purpose: str) -> None:
        """
        Raises:
            Unavailable, ConfigurationError: It could not be made.
        """
        self.blocked = ""
        self._received = bytearray()
        try:
            self.connection: pyamqp.Connection = self._dial(target, purpose)
        except (OSError, AMQPError, struct.error) as error:
            raise translated(error, target.masked) from error
        self._socket: socket.socket = self.connection.sock
        self._socket.settimeout(target.options.timeout)

    @property
    def server(self) -> dict[str, Any]:
        """What the server said about itself, such as its ``version``."""
        return dict(self.connection.server_properties)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> None:
        """
        Take in whatever has arrived, and wait for nothing.

        Raises:
            OSError, AMQPError: The connection has ended.
        """
        ended = self._fill()
        start, received = 0, self._received
        while len(received) - start >= _HEADER.size:
            kind, channel, size = _HEADER.unpack_from(received, start)
            end = start + _HEADER.size + size
            if len(received) <= end:
                break
            if received[end] != _FRAME_END:
                raise UnexpectedFrame("what arrived is no frame")
            payload = bytes(received[start + _HEADER.size : end])
            start = end + 1
            self._take(kind, channel, payload)
        del received[:start]
        if ended:
            raise ConnectionResetError("the server closed the connection")

    def tick(self) -> None:
        """
        Send a heartbeat if one is due.

        Raises:
            OSError, AMQPError: The server has not been heard for too long.
        """
        self.connection.heartbeat_tick()

    def close(self) -> None:
        """Say goodbye, so that the server knows that nothing is lost, and hang up."""
        with suppress(OSError, AMQPError):
            self.connection.send_method(spec.Connection.Close, "BsBB", (0, "", 0, 0))
            end = time.monotonic() + _FAREWELL
            while self.connection.connected and (rest := end - time.monotonic()) > 0:
                self._socket.settimeout(rest)
                self.read_some()
        self.hang_up()

    def read_some(self) -> None:
        """Wait for something to arrive, and take it in."""
        self._received += self._socket.recv(_CHUNK) or b""
        self.read()

    def hang_up(self) -> None:
        with suppress(OSError, AMQPError):
            self.connection.collect()

    def abandon(self) -> None:
        """Let go of what belongs to the parent process, without a word on its connection."""
        transport = self.connection.transport
        sock, transport.sock = transport.sock, None
        if sock is not None:
            os.close(sock.detach())

    def _dial(self, target: Target, purpose: str) -> pyamqp.Connection:
        client = Connection(  # type: ignore[no-untyped-call]
            hostname=f"[{target.host}]" if ":" in target.host else target.host,
            port=target.port,
            userid=target.user,
            password=target.password,
            virtual_host=target.vhost,
            transport="pyamqp",
            heartbeat=target.options.heartbeat,
            connect_timeout=target.options.timeout,
            ssl=target.tls() or False,
            transport_options={
                "client_properties": {"connection_name": f"jobkit {target.options.namespace} {purpose}"},
                "on_blocked": self._on_blocked,
                "on_unblocked": self._on_unblocked,
            },
        )
        # Past kombu's own connect, which would try again by itself.
        return cast(pyamqp.Connection, client.transport.establish_connection())

    def _on_blocked(self, reason: str) -> None:
        self.blocked = reason or "no reason given"

    def _on_unblocked(self) -> None:
        self.blocked = ""

    def _take(self, kind: int, channel: int, payload: bytes) -> None:
        # What was still on its way to a channel that has been given up concerns nobody.
        if channel == 0 or channel in (self.connection.channels or ()):
            self.connection.on_inbound_frame((kind, channel, payload))
        else:
            self.connection.bytes_recv += 1

    def _fill(self) -> bool:
        """Read without waiting; True if there is nothing more to come, ever."""
        limit = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            while True:
                data = self._socket.recv(_CHUNK)
                self._received += data
                if len(data) < _CHUNK and not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                    return not data
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._socket.settimeout(limit)
