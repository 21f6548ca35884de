"""rediss://: encrypted, and never without knowing to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobkit.errors import ConfigurationError, Unavailable
from jobkit.transport import Answer, Delivery, Message
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.transport import RedisTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One for "localhost", and its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(key.private_bytes(*form))
    return folder / "certificate", folder / "key"


@pytest.fixture
def url(private: Callable[..., Any], certificate: tuple[Path, Path], free_ports: Callable[[int], list[int]]) -> Url:
    """A server that listens in plain text on one port and encrypted on another."""
    (port,) = free_ports(1)
    made = private(
        *("--appendonly", "yes", "--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate[0]), "--tls-key-file", str(certificate[1])),
        *("--tls-ca-cert-file", str(certificate[0])),
    )
    secure: Url = attrs.evolve(made.url(), scheme="rediss", host="localhost", port=port)
    return secure.with_params(ssl_ca=str(certificate[0]))


@pytest.fixture
def transport(url: Url) -> Iterator[RedisTransport]:
    with closing(adapter.transport(url)) as opened:
        yield opened


def test_jobs_of_any_size_travel_and_receivers_wake_up(transport: RedisTransport, message: Make, take: Take) -> None:
    body = bytes(range(256)) * 20_000
    assert take(transport, wait=0.3) == []
    assert transport.send([message("a", body), message("b", delay=0.2)])[0].answer is Answer.YES
    assert [each.message.body for each in take(transport)] == [body]
    assert [each.message.id for each in take(transport, wait=20)] == ["b"]


def test_a_certificate_of_an_unknown_authority_is_refused(url: Url) -> None:
    unknown = attrs.evolve(url, params={name: value for name, value in url.params.items() if name != "ssl_ca"})
    with pytest.raises(ConfigurationError, match=r"certificate.*ssl_ca"):
        adapter.transport(unknown).depth([])


def test_a_certificate_for_another_name_is_refused(url: Url) -> None:
    with pytest.raises(ConfigurationError, match="certificate"):
        adapter.transport(attrs.evolve(url, host="127.0.0.1")).depth([])


def test_a_server_that_speaks_plain_text_is_unavailable(url: Url, own: Any) -> None:
    with pytest.raises(Unavailable, match="encrypted at all"):
        adapter.transport(attrs.evolve(url, port=own.port).with_params(timeout="1")).depth([])
