"""A namespace of its own for every test, dropped afterwards."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pg8000.native
import pytest

from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_postgres import adapter
from jobkit_postgres.options import Target
from jobkit_postgres.store import PostgresStore
from jobkit_postgres.transport import PostgresTransport

VARIABLE = "JOBKIT_TEST_POSTGRES_URL"


@pytest.fixture(scope="session")
def server() -> Url:
    text = os.environ.get(VARIABLE)
    if not text:
        pytest.fail(f"{VARIABLE} names no server; `make test` finds or starts one", pytrace=False)
    return Url.parse(text)


@pytest.fixture
def bare(server: Url) -> Iterator[Url]:
    """A namespace in which nothing has been set up."""
    url = server.with_params(namespace=f"t_{secrets.token_hex(8)}", timeout="5")
    yield url
    adapter.teardown(url)


@pytest.fixture
def url(bare: Url) -> Url:
    adapter.setup(bare, [])
    return bare


@pytest.fixture
def namespace(bare: Url) -> str:
    return bare.params["namespace"]


@pytest.fixture
def transport(url: Url) -> Iterator[PostgresTransport]:
    with closing(adapter.transport(url)) as opened:
        yield opened


@pytest.fixture
def store(url: Url) -> Iterator[PostgresStore]:
    with closing(adapter.store(url)) as opened:
        yield opened


def connect(url: Url) -> pg8000.native.Connection:
    target = Target.of(url)
    return pg8000.native.Connection(
        target.user, host=target.host, port=target.port, database=target.database, password=target.password, timeout=20
    )


@pytest.fixture
def open_sql(server: Url) -> Iterator[Callable[[], pg8000.native.Connection]]:
    """Opens connections beside jobkit's."""
    opened: list[pg8000.native.Connection] = []

    def another() -> pg8000.native.Connection:
        opened.append(connect(server))
        return opened[-1]

    yield another
    for connection in opened:
        connection.close()


@pytest.fixture
def sql(open_sql: Callable[[], pg8000.native.Connection]) -> pg8000.native.Connection:
    return open_sql()


@pytest.fixture
def take() -> Callable[..., list[Delivery]]:
    """Receives without waiting, unless told to."""

    def receive(
        transport: PostgresTransport, *queues: str, limit: int = 10, wait: float = 0, lease: float = 30
    ) -> list[Delivery]:
        return transport.receive(queues or ["q"], limit=limit, wait=wait, lease=lease, stop=threading.Event())

    return receive


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(name: str, body: bytes = b"x", queue: str = "q", delay: float = 0) -> Message:
        return Message(id=name, queue=queue, body=body, delay=delay)

    return make
