"""What a URL may say, and what an encrypted connection insists on."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest

from jobkit.errors import ConfigurationError
from jobkit.url import Url
from jobkit_postgres import adapter
from jobkit_postgres.options import Target


def target(text: str) -> Target:
    return Target.of(Url.parse(text))


def test_a_url_says_all_that_is_needed() -> None:
    found = target("postgres://me:s%40crt@db.example:6000/shop?namespace=jobs_2&timeout=3s&pool=4&ssl=true")
    assert (found.user, found.password, found.host, found.port, found.database) == (
        "me",
        "s@crt",
        "db.example",
        6000,
        "shop",
    )
    assert (found.schema, found.options.timeout, found.options.pool) == ('"jobs_2"', 3.0, 4)
    assert "s@crt" not in repr(found)
    assert "s%40crt" not in repr(found)


def test_what_is_left_out_has_a_default() -> None:
    found = target("postgresql://me@")
    assert (found.host, found.port, found.database, found.options.namespace) == ("localhost", 5432, "me", "jobkit")
    assert found.tls() is None


def test_a_directory_in_the_place_of_the_host_is_a_unix_socket() -> None:
    found = target("postgresql://me@%2Fvar%2Frun%2Fpostgresql/shop")
    assert found.unix_socket == "/var/run/postgresql/.s.PGSQL.5432"
    assert found.is_local


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("namespace=Jobs", "namespace"),
        ("namespace=a;drop", "namespace"),
        ("sslmode=require", "did you mean 'ssl'"),
        ("ssl=perhaps", "ssl"),
        ("ssl_ca=ca.pem", "needs ssl=true"),
        ("timeout=0", "timeout"),
        ("timeout=never", "timeout"),
        ("pool=0", "pool"),
        ("nonsense=1", "known are|did you mean"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_connected(options: str, reason: str) -> None:
    for make in (adapter.transport, adapter.store):
        with pytest.raises(ConfigurationError, match=reason):
            make(Url.parse(f"postgresql://me@127.0.0.1:1/shop?{options}"))


def test_encryption_on_a_unix_socket_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="Unix socket"):
        target("postgresql://me@%2Ftmp/shop?ssl=true")


def test_encryption_always_verifies_certificate_and_name() -> None:
    context = target("postgresql://me@db/shop?ssl=true").tls()
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_of_certificates_that_holds_none_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match="ssl_ca"):
            target(f"postgresql://me@db/shop?ssl=true&ssl_ca={tmp_path / name}").tls()


def test_a_server_without_encryption_is_refused_rather_than_talked_to_in_plain_text(server: Url) -> None:
    asked = server.with_params(ssl="true")
    with pytest.raises(ConfigurationError, match="offers no encryption"):
        adapter.transport(asked).depth([])


def test_check_warns_of_plain_text_to_another_machine() -> None:
    from jobkit_postgres.check import _encryption

    (finding,) = _encryption(target("postgresql://me@db.example/shop"))
    assert (finding.level, finding.advice) == ("warning", "add ssl=true to the URL")
    assert list(_encryption(target("postgresql://me@db.example/shop?ssl=true"))) == []
    assert list(_encryption(target("postgresql://me@127.0.0.1/shop"))) == []


def test_a_password_that_is_missing_is_named(server: Url) -> None:
    """As pg8000 reports it differs by the way of authentication; what matters is that it is no outage."""
    from jobkit_postgres.connection import _while_connecting

    without = attrs.evolve(Target.of(server), password=None)
    assert isinstance(
        _while_connecting(AttributeError("'NoneType' object has no attribute 'decode'"), without), ConfigurationError
    )
