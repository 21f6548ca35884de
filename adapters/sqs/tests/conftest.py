"""A namespace of its own for every test, removed afterwards."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import boto3
import pytest

from jobkit.clock import ManualClock
from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_sqs import SqsAdapter, adapter
from jobkit_sqs.options import Target
from jobkit_sqs.store import DynamoStore
from jobkit_sqs.testing.faults import Faulty
from jobkit_sqs.transport import SqsTransport

VARIABLE = "JOBKIT_TEST_SQS_URL"

# Emulators want some, boto3 looks for real ones in places that take seconds to answer, and no test may use those.
os.environ["AWS_ACCESS_KEY_ID"] = "testing"
os.environ["AWS_SECRET_ACCESS_KEY"] = "testing"
os.environ.pop("AWS_SESSION_TOKEN", None)

QUEUES = ("q", "q--high", "q--low")


@pytest.fixture(scope="session")
def server() -> Url:
    text = os.environ.get(VARIABLE)
    if not text:
        why = "names no server; python -m scripts.services run --need moto -- pytest adapters/sqs starts one"
        pytest.fail(f"{VARIABLE} {why}", pytrace=False)
    url = Url.parse(text)
    if not url.params.get("endpoint"):
        pytest.fail(f"{VARIABLE} names no endpoint, and these tests would cost money at AWS", pytrace=False)
    return url


@pytest.fixture
def bare(server: Url) -> Iterator[Url]:
    """A namespace in which nothing has been set up."""
    url = server.with_params(namespace=f"t_{secrets.token_hex(8)}", poll="2")
    yield url
    adapter.teardown(url)


@pytest.fixture
def url(bare: Url) -> Url:
    adapter.setup(bare, QUEUES)
    return bare


@pytest.fixture
def target(url: Url) -> Target:
    return Target.of(url)


Open = Callable[..., SqsTransport]


@pytest.fixture
def open_transport(url: Url) -> Iterator[Open]:
    """Opens a further holder's handle; takes what `SqsAdapter` takes, and options of the URL."""
    with ExitStack() as stack:

        def opened(*, options: dict[str, str] | None = None, **arguments: Any) -> SqsTransport:
            transport = SqsAdapter(**arguments).transport(url.with_params(**options or {}))
            return stack.enter_context(closing(transport))

        yield opened


@pytest.fixture
def transport(open_transport: Open) -> SqsTransport:
    return open_transport()


@pytest.fixture
def store(url: Url) -> Iterator[DynamoStore]:
    opened = adapter.store(url)
    assert opened is not None
    with closing(opened):
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def client(url: Url, service: str) -> Any:
    """boto3's own, beside jobkit's."""
    target = Target.of(url)
    return boto3.session.Session().client(
        service,  # type: ignore[call-overload]
        region_name=target.region,
        endpoint_url=target.endpoint(service),
    )


@pytest.fixture
def sqs(server: Url) -> Iterator[Any]:
    with closing(client(server, "sqs")) as made:
        yield made


@pytest.fixture
def dynamodb(server: Url) -> Iterator[Any]:
    with closing(client(server, "dynamodb")) as made:
        yield made


@pytest.fixture
def queue_url(sqs: Any, target: Target) -> Callable[[str], str]:
    return lambda queue: str(sqs.get_queue_url(QueueName=f"{target.stem}{queue}")["QueueUrl"])


Take = Callable[..., list[Delivery]]


@pytest.fixture
def take() -> Take:
    """Receives without waiting, unless told to."""

    def receive(
        transport: SqsTransport, *queues: str, limit: int = 10, wait: float = 0, lease: float = 30
    ) -> list[Delivery]:
        return transport.receive(queues or ["q"], limit=limit, wait=wait, lease=lease, stop=threading.Event())

    return receive


@pytest.fixture
def faulty() -> Faulty:
    return Faulty()


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(name: str, body: bytes = b"x", queue: str = "q", delay: float = 0) -> Message:
        return Message(id=name, queue=queue, body=body, delay=delay)

    return make
