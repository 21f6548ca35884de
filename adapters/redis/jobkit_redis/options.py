"""What a ``redis://`` URL says: where to connect, how, and under which namespace."""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple

import attrs

from jobkit.adapter import check_namespace
from jobkit.errors import ConfigurationError
from jobkit.url import Url

CHECKED, VOUCHED, NOT = "checked", "vouched", "no"


class Address(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _positive(_instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} {value}: must be above 0")


def _durable(_instance: Any, _attribute: attrs.Attribute[str], value: str) -> None:
    if value not in (CHECKED, VOUCHED, NOT):
        raise ValueError(f"durable={value}: allowed are {CHECKED}, {VOUCHED} and {NOT}")


@attrs.frozen
class Options:
    """
    What may follow the question mark.

    Attributes:
        namespace: The prefix of all keys.
        timeout: Seconds that any call may take, connecting included.
        pool: How many connections one transport, or one store, may hold to one server; receivers that wait hold
            others beside them.
        cluster: The server is one of a Redis Cluster.
        durable: ``checked``: a server that keeps no append-only file is refused. ``vouched``: the operator knows that
            what it was sent survives, and the server can't tell. ``no``: jobs may be lost; the capability says so.
        ssl_ca: A file of certificates to trust instead of the system's; for ``rediss://``.
    """

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    timeout: float = attrs.field(default=10.0, validator=_positive)
    pool: int = attrs.field(default=8, validator=_positive)
    cluster: bool = False
    durable: str = attrs.field(default=CHECKED, validator=_durable)
    ssl_ca: str = ""


@attrs.frozen
class Target:
    """One namespace on one server or cluster, and how to reach it. *masked* is the URL for people, without its password."""

    masked: str
    user: str | None
    password: str | None = attrs.field(repr=False)
    address: Address
    database: int
    encrypted: bool
    options: Options

    @classmethod
    def of(cls, url: Url) -> Target:
        """
        Raises:
            ConfigurationError: An option is unknown or wrong, or the path names no database.
        """
        options = url.options(Options)
        target = cls(
            masked=str(url),
            user=url.username or None,
            password=url.password,
            address=Address(url.host or "localhost", url.port or 6379),
            database=_database(url),
            encrypted=url.scheme == "rediss",
            options=options,
        )
        if options.cluster and target.database:
            raise ConfigurationError(f"{url}: a cluster has only database 0")
        if options.ssl_ca and not target.encrypted:
            raise ConfigurationError(f"{url}: ssl_ca says whom to trust, which needs rediss://")
        return target

    @property
    def is_local(self) -> bool:
        """Whether what is said stays on this machine."""
        return self.address.host in ("localhost", "::1") or self.address.host.startswith("127.")

    def check_ca(self) -> None:
        """
        Raises:
            ConfigurationError: The file of trusted certificates can't be read.
        """
        if self.options.ssl_ca:
            try:
                ssl.create_default_context(cafile=self.options.ssl_ca)
            except (OSError, ssl.SSLError) as error:
                text = f"ssl_ca={self.options.ssl_ca}: can't be read as certificates ({error})"
                raise ConfigurationError(text) from error


def _database(url: Url) -> int:
    if url.path and not url.path.isdecimal():
        raise ConfigurationError(f"{url}: the path is the database's number, such as /0")
    return int(url.path or 0)
