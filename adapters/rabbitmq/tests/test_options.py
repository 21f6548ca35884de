"""What the URL may say, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobkit import config
from jobkit.errors import ConfigurationError
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.options import Target


def target(text: str) -> Target:
    return Target.of(Url.parse(text))


def test_every_part_of_the_url_is_read() -> None:
    found = target("amqp://me:s%40crt@mq.example:5673/shop?namespace=jobs_2&timeout=3s&heartbeat=5&max_lease=10m")
    assert (found.user, found.password, found.host, found.port, found.vhost) == ("me", "s@crt", "mq.example", 5673, "shop")
    options = found.options
    assert (options.namespace, options.timeout, options.heartbeat, options.max_lease) == ("jobs_2", 3.0, 5, 600.0)
    assert "s@crt" not in repr(found)
    assert "s%40crt" not in found.masked


@pytest.mark.parametrize(
    ("text", "vhost"),
    [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h//", "/"), ("amqp://h/%2F", "/"), ("amqp://h/a%2Fb", "a/b")],
)
def test_the_vhost_is_the_path_and_a_slash_if_left_out(text: str, vhost: str) -> None:
    assert target(text).vhost == vhost


def test_what_is_left_out_is_the_servers_own_default() -> None:
    found = target("rabbitmq://")
    assert (found.user, found.password, found.host, found.port) == ("guest", "guest", "127.0.0.1", 5672)
    assert target("amqps://mq.example").port == 5671


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("namespce=a", "did you mean 'namespace'"),
        ("namespace=A", "namespace"),
        ("timeout=0", "timeout"),
        ("heartbeat=0", "heartbeat"),
        ("heartbeat=1.5", "heartbeat"),
        ("max_lease=0", "max_lease"),
        ("ssl_ca=ca.pem", "amqps://"),
    ],
)
def test_wrong_options_are_refused_before_any_connection(query: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        adapter.transport(Url.parse(f"amqp://127.0.0.1:1/?{query}"))


def test_encryption_always_verifies_the_server() -> None:
    settings = target("amqps://mq.example").tls()
    assert settings is not None
    assert settings["context"]["check_hostname"] is True
    assert settings["server_hostname"] == "mq.example"


def test_a_file_of_certificates_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match="ssl_ca"):
            target(f"amqps://mq.example?ssl_ca={tmp_path / name}").tls()


def test_capabilities_follow_the_options_without_a_connection() -> None:
    found = adapter.transport(Url.parse("amqp://127.0.0.1:1/?heartbeat=2&max_lease=5m")).capabilities
    assert (found.lease_slack, found.max_lease, found.max_delay) == (6.5, 300.0, 0.0)


def test_there_is_no_store_and_the_core_says_what_to_set() -> None:
    url = Url.parse("amqp://127.0.0.1:1/")
    assert adapter.store(url) is None
    with pytest.raises(ConfigurationError, match="JOBKIT_STORE_URL"):
        config.open_store(url)
