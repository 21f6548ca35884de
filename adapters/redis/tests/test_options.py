"""What a URL may say, and what is refused before anything is connected."""

from __future__ import annotations

import pytest

from jobkit.errors import ConfigurationError
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.options import Address, Target


def target(text: str) -> Target:
    return Target.of(Url.parse(text))


def test_what_is_left_out_is_the_local_server_and_database_0() -> None:
    found = target("redis://")
    assert (found.address, found.database, found.encrypted) == (Address("localhost", 6379), 0, False)
    assert (found.user, found.password, found.options.durable, found.options.namespace) == (None, None, "checked", "jobkit")


def test_everything_can_be_said() -> None:
    found = target("rediss://me:p%40ss@[::1]:7000/3?namespace=shop&timeout=2s&pool=3&durable=vouched&ssl_ca=/ca.pem")
    assert (found.address, found.database, found.encrypted) == (Address("::1", 7000), 3, True)
    assert (found.user, found.password) == ("me", "p@ss")
    assert (found.options.timeout, found.options.pool, found.options.durable) == (2.0, 3, "vouched")
    assert "p%40ss" not in found.masked
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("redis://h/0?namspace=a", "did you mean 'namespace'"),
        ("redis://h/0?namespace=A", "namespace"),
        ("redis://h/0?durable=maybe", "durable=maybe: allowed are checked, vouched and no"),
        ("redis://h/0?timeout=0", "timeout"),
        ("redis://h/0?pool=0", "pool"),
        ("redis://h/jobs", "database's number"),
        ("redis://h/1?cluster=true", "only database 0"),
        ("redis://h/0?ssl_ca=/ca.pem", "needs rediss://"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        adapter.transport(Url.parse(text))


def test_a_file_of_authorities_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match="/nowhere"):
        adapter.transport(Url.parse("rediss://127.0.0.1:1/0?ssl_ca=/nowhere")).depth([])


def test_what_is_promised_follows_the_url_without_io() -> None:
    def promised(text: str) -> tuple[bool, bool, bool]:
        url = Url.parse(text)
        transport, store = adapter.transport(url), adapter.store(url)
        return transport.capabilities.durable, store.capabilities.durable, transport.capabilities.atomic_successors

    assert promised("redis://nobody.invalid/0") == (True, True, True)
    assert promised("redis://nobody.invalid/0?durable=vouched") == (True, True, True)
    assert promised("redis://nobody.invalid/0?durable=no") == (False, False, True)
    assert promised("redis://nobody.invalid/0?cluster=true") == (True, True, False)
