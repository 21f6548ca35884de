"""
One connection: opened and encrypted by redis-py, then talked on directly. redis-py would repeat a command whose reply is
late (so a send would happen twice), wait for a blocking one eleven times over, and bound each read rather than the call.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection as Driver
from redis.connection import SSLConnection
from redis.retry import Retry

from jobkit.errors import ConfigurationError, JobKitError, Unavailable
from jobkit_redis.failures import ReplyLost, translated
from jobkit_redis.options import Address, Target

Words = Sequence[str | bytes | int]
Reply = Any
"""bytes, int, None, a list of these, or a `hiredis.ReplyError`."""

NOTHING = object()
"""There is no whole reply yet."""

READ_AT_ONCE = 65536

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Wire:
    """
    A connection that is logged in. For one thread at a time.

    Attributes:
        info: What the server says about itself, as it was when the connection was made.
        number: The server's number for the connection, by which another one can end its waiting.
        usable: False once it is unknown what the server will say next; it must not be used again then.
    """

    def __init__(self, target: Target, address: Address, deadline: float) -> None:
        self.address = address
        self.usable = False
        self._where = target.masked if address == target.address else f"{target.masked} ({address})"
        self._reader = hiredis.Reader(notEnoughData=NOTHING)
        self._driver: Any = _driver(target, address, _rest(deadline, self._where))
        self._socket = self._connect(target)
        try:
            self.usable = True
            self.info, self.number = self._log_in(target, deadline)
        except ReplyLost as error:
            self.close()
            raise Unavailable(f"{error} while logging in") from error
        except BaseException:
            self.close()
            raise

    def write(self, commands: Sequence[Words], deadline: float) -> None:
        """
        Raises:
            ReplyLost: Some of *commands* may be carried out.
        """
        # Several large commands are better packed and sent one by one than copied together.
        self._write([_packed(words) for words in commands], deadline)

    def read(self, deadline: float) -> Reply:
        """
        The next reply.

        Raises:
            ReplyLost: It did not come, whole, by *deadline*.
        """
        while (reply := self._reader.gets()) is NOTHING:
            self._fill(_rest_or_lost(deadline, self._where, self))
        return reply

    def read_soon(self) -> Reply:
        """The next reply if all of it has arrived, or else `NOTHING`; does not wait."""
        reply = self._reader.gets()
        while reply is NOTHING and self.has_news():
            self._fill(0.01)
            reply = self._reader.gets()
        return reply

    def has_news(self) -> bool:
        """Whether the server has said anything that was not read. On an idle connection that is a farewell, as a rule."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self.usable = False
        self._driver.disconnect()

    def _connect(self, target: Target) -> socket.socket:
        try:
            self._driver.connect()
        except (redis.RedisError, OSError) as error:
            raise _unreachable(error, target, self._where) from error
        # The driver has no public name for it, in any of its versions.
        opened: socket.socket = self._driver._sock
        return opened

    def _log_in(self, target: Target, deadline: float) -> tuple[dict[str, str], int]:
        """Everything in one round trip; the first refusal is the one that counts."""
        commands: list[Words] = []
        if target.password is not None:
            commands.append(("AUTH", *([target.user] if target.user else []), target.password))
        if target.database:
            commands.append(("SELECT", target.database))
        commands += [("CLIENT", "SETNAME", f"jobkit:{target.options.namespace}"), ("CLIENT", "ID"), ("INFO",)]
        self.write(commands, deadline)
        replies = [self.read(deadline) for _ in commands]
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise _not_let_in(str(reply), self._where)
        return _parsed(replies[-1].decode(errors="replace")), int(replies[-2])

    def _write(self, pieces: Sequence[bytes], deadline: float) -> None:
        packed = [b"".join(pieces)] if sum(map(len, pieces)) < 1_000_000 else pieces
        try:
            for piece in packed:
                self._socket.settimeout(_rest_or_lost(deadline, self._where, self))
                self._socket.sendall(piece)
        except OSError as error:
            raise self._lost(error) from error

    def _fill(self, timeout: float) -> None:
        try:
            self._socket.settimeout(timeout)
            news = self._socket.recv(READ_AT_ONCE)
        except OSError as error:
            raise self._lost(error) from error
        if not news:
            raise self._lost(ConnectionResetError("the server closed the connection"))
        self._reader.feed(news)

    def _lost(self, error: OSError) -> ReplyLost:
        self.usable = False
        return ReplyLost(f"{self._where}: the connection failed before the reply ({_words(error)})")


def _driver(target: Target, address: Address, timeout: float) -> Any:
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "socket_keepalive_options": {
            getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
        },
        "retry": Retry(NoBackoff(), 0),
        # The driver's own handshake takes a round trip for each step, and differs between its versions.
        "redis_connect_func": _nothing,
    }
    if not target.encrypted:
        return Driver(**options)  # type: ignore[no-untyped-call]
    target.check_ca()
    return SSLConnection(
        **options, ssl_cert_reqs="required", ssl_check_hostname=True, ssl_ca_certs=target.options.ssl_ca or None
    )


def _packed(words: Words) -> bytes:
    pack: Any = hiredis.pack_command  # its stub knows no tuple of two
    packed: bytes = pack(tuple(words))
    return packed


def _nothing(_driver: object) -> None:
    """Greets nobody."""


def _not_let_in(refusal: str, where: str) -> JobKitError:
    error = translated(refusal, where)
    # Whatever was said, nothing of value was asked yet. An unknown "ERR" is a wrong database or a login where none is set.
    return ConfigurationError(str(error)) if isinstance(error, ReplyLost) else error


def _unreachable(error: BaseException, target: Target, where: str) -> JobKitError:
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLCertVerificationError):
            hint = "name the file of its authority with ssl_ca"
            return ConfigurationError(f"{where}: the server's certificate: {chain.verify_message}; {hint}")
        chain = chain.__cause__ or chain.__context__
    kind = " (is it encrypted at all?)" if target.encrypted else ""
    return Unavailable(f"{where}: {_words(error)}{kind}")


def _parsed(info: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _rest(deadline: float, where: str) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise Unavailable(f"{where}: no time left to connect")
    return rest


def _rest_or_lost(deadline: float, where: str, wire: Wire) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        wire.usable = False
        raise ReplyLost(f"{where}: no reply in time")
    return rest


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
