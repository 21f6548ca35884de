"""``amqps://`` encrypts, and trusts nobody who can't show a certificate for the name in the URL. On a private server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from jobkit.errors import ConfigurationError
from jobkit.transport import Answer, Delivery, Done, Message
from jobkit.url import Url
from jobkit_rabbitmq.transport import RabbitmqTransport

Open = Callable[[Url], RabbitmqTransport]


def test_a_trusted_server_carries_large_and_small_alike(
    broker: Any, open_transport: Open, message: Callable[..., Message], take: Callable[..., list[Delivery]]
) -> None:
    """What TLS has read ahead is taken in as well, although the socket is quiet then."""
    url = broker.tls_url("localhost", ssl_ca=str(broker.certificate), namespace=f"t_{secrets.token_hex(8)}")
    transport = open_transport(url)
    bodies = [bytes(size) for size in (0, 1, 16383, 16384, 16385, 200_000, 900_000)] + [b"x"] * 300
    sent = transport.send([message(str(number), body) for number, body in enumerate(bodies)])
    assert {each.answer for each in sent} == {Answer.YES}
    found = take(transport, limit=400)
    assert {each.message.id: each.message.body for each in found} == {str(n): body for n, body in enumerate(bodies)}
    assert {each.answer for each in transport.settle([Done(each) for each in found])} == {Answer.YES}


def test_an_unknown_authority_is_refused(broker: Any, open_transport: Open, message: Callable[..., Message]) -> None:
    with pytest.raises(ConfigurationError, match="certificate"):
        open_transport(broker.tls_url("localhost")).send([message("one")])


def test_another_name_is_refused(broker: Any, open_transport: Open, message: Callable[..., Message]) -> None:
    url = broker.tls_url("127.0.0.1", ssl_ca=str(broker.certificate))
    with pytest.raises(ConfigurationError, match="certificate"):
        open_transport(url).send([message("one")])
