"""What an ``amqp://`` URL says: where to connect, how, and under which namespace."""

from __future__ import annotations

import ssl
from typing import Any

import attrs

from jobkit.adapter import check_namespace
from jobkit.errors import ConfigurationError
from jobkit.url import Url


def _positive(_instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} {value}: must be above 0")


@attrs.frozen
class Options:
    """
    What may follow the question mark.

    Attributes:
        namespace: The first part of every queue's name.
        timeout: Seconds that any call may take, connecting included.
        heartbeat: Seconds, whole. The server takes back what a frozen or unreachable holder has within three of them; a
            process that lets no other thread run for two of them loses what it holds.
        max_lease: Seconds. Has to stay well below the server's consumer_timeout (30 minutes if nobody changed it), which
            can't be asked for, and at which the server would close the channel with everything that it holds.
        ssl_ca: A file of certificates to trust instead of the system's; for ``amqps://``.
    """

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    timeout: float = attrs.field(default=10.0, validator=_positive)
    heartbeat: int = attrs.field(default=3, validator=_positive)
    max_lease: float = attrs.field(default=1500.0, validator=_positive)
    ssl_ca: str = ""


@attrs.frozen
class Target:
    """One namespace on one server, and how to reach it. *masked* is the URL for people, without its password."""

    masked: str
    user: str
    password: str = attrs.field(repr=False)
    host: str
    port: int
    vhost: str
    encrypted: bool
    options: Options

    @classmethod
    def of(cls, url: Url) -> Target:
        """
        Raises:
            ConfigurationError: An option is unknown or wrong.
        """
        options, encrypted = url.options(Options), url.scheme == "amqps"
        if options.ssl_ca and not encrypted:
            raise ConfigurationError(f"{url}: ssl_ca says whom to trust, which has a meaning with amqps:// only")
        return cls(
            masked=str(url),
            user=url.username or "guest",
            password="guest" if url.password is None and url.username in (None, "guest") else url.password or "",
            host=url.host or "127.0.0.1",
            port=url.port or (5671 if encrypted else 5672),
            vhost=url.path or "/",
            encrypted=encrypted,
            options=options,
        )

    @property
    def is_local(self) -> bool:
        """Whether what is said stays on this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def tls(self) -> dict[str, Any] | None:
        """
        The driver's settings. Encryption without verification would keep nobody out, so there is none.

        Raises:
            ConfigurationError: The file of trusted certificates can't be read.
        """
        if not self.encrypted:
            return None
        trusted = self.options.ssl_ca or None
        try:
            ssl.create_default_context(cafile=trusted)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"ssl_ca={self.options.ssl_ca}: can't be read as certificates ({error})") from error
        # The handshake is left to the driver's next step, which has a time limit.
        return {
            "server_hostname": self.host,
            "do_handshake_on_connect": False,
            "context": {"check_hostname": True, "cafile": trusted},
        }
