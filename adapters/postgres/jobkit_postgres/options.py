"""What a ``postgresql://`` URL says: where to connect, how, and under which namespace."""

from __future__ import annotations

import getpass
import ssl
from typing import Any

import attrs

from jobkit.adapter import check_namespace
from jobkit.errors import ConfigurationError
from jobkit.url import Url


def _positive(_instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} {value}: must be above 0")


def _needs_ssl(instance: Options, _attribute: attrs.Attribute[str], value: str) -> None:
    if value and not instance.ssl:
        raise ValueError("ssl_ca says whom to trust, which needs ssl=true as well")


@attrs.frozen
class Options:
    """
    What may follow the question mark.

    Attributes:
        namespace: The schema that holds everything.
        timeout: Seconds that any call may take, connecting included.
        pool: How many connections one transport, or one store, may hold; one more listens for wake-ups.
        ssl: Encrypt, and verify the server's certificate and name: there is no encryption without verification here,
            since it would keep nobody out. Without it the text is plain.
        ssl_ca: A file of certificates to trust instead of the system's.
    """

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    timeout: float = attrs.field(default=10.0, validator=_positive)
    pool: int = attrs.field(default=8, validator=_positive)
    ssl: bool = False
    ssl_ca: str = attrs.field(default="", validator=_needs_ssl)


@attrs.frozen
class Target:
    """One namespace in one database, and how to reach it. *masked* is the URL for people, without its password."""

    masked: str
    user: str
    password: str | None = attrs.field(repr=False)
    host: str
    port: int
    database: str
    options: Options

    @classmethod
    def of(cls, url: Url) -> Target:
        """
        Raises:
            ConfigurationError: An option is unknown or wrong.
        """
        options = url.options(Options)
        user = url.username or getpass.getuser()
        target = cls(
            masked=str(url),
            user=user,
            password=url.password,
            host=url.host or "localhost",
            port=url.port or 5432,
            database=url.path or user,
            options=options,
        )
        if options.ssl and target.unix_socket:
            raise ConfigurationError(f"{url}: ssl=true has no meaning on a Unix socket")
        return target

    @property
    def unix_socket(self) -> str | None:
        """The socket's path, if *host* is the directory in which the server keeps it."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    @property
    def is_local(self) -> bool:
        """Whether what is said stays on this machine."""
        return self.unix_socket is not None or self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def schema(self) -> str:
        """The namespace as an SQL identifier. `check_namespace` has left nothing in it that quoting would have to escape."""
        return f'"{self.options.namespace}"'

    def tls(self) -> ssl.SSLContext | None:
        """
        Raises:
            ConfigurationError: The file of trusted certificates can't be read.
        """
        if not self.options.ssl:
            return None
        try:
            return ssl.create_default_context(cafile=self.options.ssl_ca or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"ssl_ca={self.options.ssl_ca}: can't be read as certificates ({error})") from error
