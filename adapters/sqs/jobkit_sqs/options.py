"""What an ``sqs://`` URL says: which region, which endpoint, and under which names."""

from __future__ import annotations

import re
from typing import Any

import attrs

from jobkit.adapter import check_namespace
from jobkit.errors import ConfigurationError
from jobkit.url import Url

_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,16}")


def _between(least: float, most: float) -> Any:
    def check(_instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
        if not least <= value <= most:
            raise ValueError(f"{attribute.name} {value:g}: allowed is {least:g} to {most:g}")

    return check


def _check_prefix(_instance: Any, _attribute: attrs.Attribute[str], value: str) -> None:
    if not _PREFIX.fullmatch(value):
        raise ValueError(f"prefix {value!r}: allowed are up to 16 letters, digits, '_' and '-'")


def _check_endpoint(_instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not re.match(r"https?://[^/?#]+", value):
        raise ValueError(f"{attribute.name} {value!r}: it begins with http:// or https://")


@attrs.frozen
class Options:
    """
    What may follow the question mark.

    Attributes:
        namespace: Stands in every name; what separates one set of jobs from another.
        prefix: Stands before every name, for accounts whose rules prescribe one.
        endpoint: Where SQS and DynamoDB are, if not at AWS: an emulator, or a VPC endpoint of SQS.
        dynamodb_endpoint: Where DynamoDB is, if not at *endpoint*.
        timeout: Seconds that any request may take, connecting included; a long poll may take *poll* more.
        parallel: How many requests one handle may have under way for one call.
        poll: Seconds that one long poll lasts. Longer ones cost fewer requests; `close` waits for those under way.
        records: Whether there is a DynamoDB table; false where the store is another backend.
        auto_create: Make a queue that is missing at its first use. Else only ``jobkit setup`` does.
    """

    namespace: str = attrs.field(default="jobkit", validator=check_namespace)
    prefix: str = attrs.field(default="", validator=_check_prefix)
    endpoint: str = attrs.field(default="", validator=_check_endpoint)
    dynamodb_endpoint: str = attrs.field(default="", validator=_check_endpoint)
    timeout: float = attrs.field(default=10.0, validator=_between(0.1, 300))
    parallel: int = attrs.field(default=10, validator=_between(1, 100))
    poll: float = attrs.field(default=5.0, validator=_between(1, 20))
    records: bool = True
    auto_create: bool = False


@attrs.frozen
class Target:
    """One namespace in one region of one account. *masked* is the URL for people."""

    masked: str
    region: str | None
    options: Options

    @classmethod
    def of(cls, url: Url) -> Target:
        """
        Raises:
            ConfigurationError: An option is unknown or wrong, or the URL says what only boto3 may know.
        """
        if url.username or url.password:
            raise ConfigurationError(f"{url}: credentials stand in boto3's own places (environment, profile, role)")
        if url.path or url.port:
            raise ConfigurationError(f"{url}: after the region come only options, such as ?endpoint=http://127.0.0.1:5000")
        return cls(masked=str(url), region=url.host or None, options=url.options(Options))

    @property
    def stem(self) -> str:
        """What all names begin with. A namespace holds no '-', so no stem is the beginning of another one's."""
        return f"{self.options.prefix}{self.options.namespace}-"

    @property
    def table(self) -> str:
        return f"{self.stem}records"

    def endpoint(self, service: str) -> str | None:
        options = self.options
        own = options.dynamodb_endpoint if service == "dynamodb" else ""
        return own or options.endpoint or None
