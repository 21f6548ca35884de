"""A namespace of its own for every test, removed afterwards; and private servers for what a shared one can't be asked."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import attrs
import pytest
import redis

from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_redis import adapter
from jobkit_redis.store import RedisStore
from jobkit_redis.transport import RedisTransport

VARIABLE = "JOBKIT_TEST_REDIS_URL"
PROGRAM = "JOBKIT_TEST_REDIS_SERVER"


@attrs.define(eq=False)
class Private:
    """A server of the test's own. Its data lie in *folder*."""

    program: str
    port: int
    folder: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*words, *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with closing(self.client()) as client:
                    client.ping()
                    return
            except redis.BusyLoadingError:
                pass
            except redis.ResponseError:  # it wants a password, so it is there
                return
            except redis.ConnectionError:
                if self.process.poll() is not None:
                    break
            time.sleep(0.02)
        pytest.fail(f"a private server did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """At once, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def url(self, **options: str) -> Url:
        return Url.parse(f"redis://127.0.0.1:{self.port}/0").with_params(timeout="5", **options)

    def client(self, **options: str) -> redis.Redis:
        return redis.Redis(port=self.port, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server() -> Url:
    text = os.environ.get(VARIABLE)
    if not text:
        pytest.fail(f"{VARIABLE} names no server; `make test` finds or starts one", pytrace=False)
    return Url.parse(text).with_params(durable="no")


@pytest.fixture(scope="session")
def private_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Private]]:
    """Starts servers that last until the end of the run."""
    with ExitStack() as stack:
        yield lambda *options: _started(tmp_path_factory.mktemp("redis"), options, stack)


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Private]]:
    """Starts servers, with the options given, that end with the test."""
    with ExitStack() as stack:
        yield lambda *options: _started(tmp_path_factory.mktemp("redis"), options, stack)


def _started(folder: Path, options: tuple[str, ...], stack: ExitStack) -> Private:
    program = os.environ.get(PROGRAM) or shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.fail(f"no redis-server on the PATH; {PROGRAM} may name one", pytrace=False)
    made = Private(program, _free_port(), folder, options)
    made.start()
    stack.callback(made.kill)
    return made


def _free_port() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        # A cluster's servers listen on a second port, 10,000 above the first.
        if port < 50000:
            return port


@pytest.fixture
def url(server: Url) -> Iterator[Url]:
    found = server.with_params(namespace=f"t_{secrets.token_hex(8)}", timeout="5")
    yield found
    adapter.teardown(found)


@pytest.fixture
def transport(url: Url) -> Iterator[RedisTransport]:
    with closing(adapter.transport(url)) as opened:
        yield opened


@pytest.fixture
def store(url: Url) -> Iterator[RedisStore]:
    with closing(adapter.store(url)) as opened:
        yield opened


@pytest.fixture
def client(server: Url) -> Iterator[redis.Redis]:
    """A connection beside jobkit's."""
    with closing(
        redis.Redis.from_url(Url(scheme="redis", host=server.host, port=server.port, path=server.path).text())
    ) as it:
        yield it


@pytest.fixture(scope="session")
def own(private_session: Callable[..., Private]) -> Private:
    """A server to which anything may be done, as long as it does not end."""
    return private_session("--appendonly", "yes")


@pytest.fixture
def own_url(own: Private) -> Url:
    return own.url(namespace=f"t_{secrets.token_hex(8)}")


@pytest.fixture
def own_transport(own_url: Url) -> Iterator[RedisTransport]:
    with closing(adapter.transport(own_url)) as opened:
        yield opened


@pytest.fixture
def own_client(own: Private) -> Iterator[redis.Redis]:
    with closing(own.client()) as opened:
        yield opened


@pytest.fixture
def take() -> Callable[..., list[Delivery]]:
    """Receives without waiting, unless told to."""

    def receive(
        transport: RedisTransport, *queues: str, limit: int = 10, wait: float = 0, lease: float = 30
    ) -> list[Delivery]:
        return transport.receive(queues or ["q"], limit=limit, wait=wait, lease=lease, stop=threading.Event())

    return receive


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(name: str, body: bytes = b"x", queue: str = "q", delay: float = 0) -> Message:
        return Message(id=name, queue=queue, body=body, delay=delay)

    return make


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Waits until a condition holds; a busy machine gets half a minute."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it did not become true within 30 s"
            time.sleep(0.01)

    return wait
