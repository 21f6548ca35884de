"""One connection to the server: how it is made, and one statement on it."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from jobkit.errors import ConfigurationError, Unavailable
from jobkit_postgres.failures import ReplyLost, is_fatal, translated
from jobkit_postgres.options import Target

Rows = list[list[Any]]

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

# What a role or database may have set otherwise, and what the guarantees rest on. The server gives up on a statement
# before this side does, because its "no" is an answer and a silence is none. The idle limits (newer servers only) would
# end connections that listen.
_SETTINGS = """
select set_config(name, case
    when name = 'statement_timeout' then '{milliseconds}'
    when name = 'default_transaction_isolation' then 'read committed'
    when name = 'synchronous_commit' then case setting when 'off' then 'on' else setting end
    else '0' end, false)
from pg_settings where name in ('statement_timeout', 'default_transaction_isolation', 'synchronous_commit',
    'idle_session_timeout', 'idle_in_transaction_session_timeout')
"""


class Connection:
    """
    A connection with its prepared statements. For one thread at a time: pg8000 mixes up the rows of two.

    Attributes:
        usable: False once it is unknown what the server will say next; it must not be used again then.
    """

    def __init__(self, target: Target, deadline: float) -> None:
        self._masked = target.masked
        self._prepared: dict[str, pg8000.native.PreparedStatement] = {}
        self.usable = False
        self.socket = _open_socket(target, deadline)
        try:
            self._native = pg8000.native.Connection(
                target.user,
                database=target.database,
                password=target.password,
                sock=self.socket,
                ssl_context=False,  # agreed upon already, so that the socket stays in these hands
                application_name=f"jobkit {target.options.namespace}",
            )
            self._native.run(_SETTINGS.format(milliseconds=max(1, int(target.options.timeout * 900))))
        except DatabaseError as error:
            self.socket.close()
            raise translated(error, self._masked) from error
        except (InterfaceError, OSError, struct.error, AttributeError) as error:
            # AttributeError: pg8000 fails so if asked for a password that the URL doesn't hold.
            self.socket.close()
            raise _while_connecting(error, target) from error
        self.usable = True

    def run(self, sql: str, deadline: float, **values: Any) -> Rows:
        """
        Execute *sql* in a transaction of its own, prepared once and then in one round trip.

        Raises:
            ReplyLost: It may have been carried out.
            Unavailable, SetupRequired, ConfigurationError, Rejected: It has not.
        """
        statement = self._prepared.get(sql) or self._prepare(sql, deadline)
        self._limit(deadline)
        self.usable = False
        try:
            rows: Rows = statement.run(**values)
        except DatabaseError as error:
            if is_fatal(error):
                raise ReplyLost(f"{self._masked}: {error}") from error
            self.usable = True
            raise translated(error, self._masked) from error
        except (InterfaceError, OSError, struct.error) as error:
            raise ReplyLost(f"{self._masked}: the connection failed before the reply ({_words(error)})") from error
        self.usable = True
        return rows

    def run_script(self, sql: str, deadline: float) -> Rows:
        """Execute one or more statements that take no values. Raises as `run`."""
        self._limit(deadline)
        self.usable = False
        try:
            rows: Rows | None = self._native.run(sql)
        except DatabaseError as error:
            self.usable = not is_fatal(error)
            raise translated(error, self._masked) from error
        except (InterfaceError, OSError, struct.error) as error:
            raise ReplyLost(f"{self._masked}: the connection failed before the reply ({_words(error)})") from error
        self.usable = True
        return rows or []

    def is_stale(self) -> bool:
        """
        Whether the server has said something unasked, which on an idle connection is a farewell as a rule. Seen before
        anything is sent, so that replacing the connection repeats nothing.
        """
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.usable = False
        self.socket.settimeout(1.0)
        try:
            self._native.close()
        except (InterfaceError, OSError):
            pass
        finally:
            self.socket.close()

    def _prepare(self, sql: str, deadline: float) -> pg8000.native.PreparedStatement:
        self._limit(deadline)
        self.usable = False
        try:
            statement = self._native.prepare(sql)
        except DatabaseError as error:
            self.usable = not is_fatal(error)
            raise translated(error, self._masked) from error
        except (InterfaceError, OSError, struct.error) as error:
            # Parsing changes nothing, so nothing was lost.
            raise Unavailable(f"{self._masked}: {_words(error)}") from error
        self.usable = True
        self._prepared[sql] = statement
        return statement

    def _limit(self, deadline: float) -> None:
        self.socket.settimeout(_rest(deadline, self._masked))


def _open_socket(target: Target, deadline: float) -> socket.socket:
    """A connected socket, encrypted if the URL says so."""
    try:
        if target.unix_socket is not None:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(_rest(deadline, target.masked))
            plain.connect(target.unix_socket)
            return plain
        plain = socket.create_connection((target.host, target.port), _rest(deadline, target.masked))
    except OSError as error:
        raise Unavailable(f"{target.masked}: {_words(error)}") from error
    # A request larger than one segment would otherwise wait for the acknowledgement of its first part.
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    context = target.tls()
    return plain if context is None else _encrypted(plain, context, target)


def _encrypted(plain: socket.socket, context: ssl.SSLContext, target: Target) -> socket.socket:
    try:
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ConfigurationError(f"{target.masked}: ssl=true, but the server offers no encryption")
        return context.wrap_socket(plain, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        hint = "name the file of its authority with ssl_ca"
        raise ConfigurationError(f"{target.masked}: the server's certificate: {error.verify_message}; {hint}") from error
    except OSError as error:
        plain.close()
        raise Unavailable(f"{target.masked}: {_words(error)}") from error
    except ConfigurationError:
        plain.close()
        raise


def _rest(deadline: float, masked: str) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise Unavailable(f"{masked}: no time was left to ask")
    return rest


def _while_connecting(error: Exception, target: Target) -> Exception:
    if (target.password is None and "password" in str(error)) or isinstance(error, AttributeError):
        return ConfigurationError(f"{target.masked}: the server asks for a password, and the URL holds none")
    return Unavailable(f"{target.masked}: {_words(error)}")


def _words(error: BaseException) -> str:
    cause = error.__cause__
    return f"{str(error) or type(error).__name__}{f' ({cause})' if cause else ''}"
