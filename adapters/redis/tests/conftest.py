"""A namespace of its own for every test, removed afterwards; and private servers for what a shared one can't be asked."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

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
        yield lambda *options, port=0: _started(tmp_path_factory.mktemp("redis"), options, stack, port)


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Private]]:
    """Starts servers, with the options given, that end with the test."""
    with ExitStack() as stack:
        yield lambda *options: _started(tmp_path_factory.mktemp("redis"), options, stack)


def _started(folder: Path, options: tuple[str, ...], stack: ExitStack, port: int = 0) -> Private:
    program = os.environ.get(PROGRAM) or shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.fail(f"no redis-server on the PATH; {PROGRAM} may name one", pytrace=False)
    made = Private(program, port or free_port(), folder, options)
    made.start()
    stack.callback(made.kill)
    return made


def free_port() -> int:
    """One that the system does not hand out by itself, nor the one 10,000 above it, on which a cluster's servers meet."""
    while True:
        port = random.SystemRandom().randrange(12_000, 22_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@attrs.frozen
class Cluster:
    """Three masters, each with a third of the slots, and one replica of the first if there is a fourth server."""

    servers: list[Private]

    def url(self, first: int = 0, **options: str) -> Url:
        return self.servers[first].url(cluster="true", **options)

    def on_each(self, *words: str | int) -> list[Any]:
        """A command's answers on the masters."""
        answers = []
        for each in self.servers[:3]:
            with closing(each.client()) as client:
                answers.append(client.execute_command(*words))  # type: ignore[no-untyped-call]
        return answers


_MEMBER = ("--cluster-enabled", "yes", "--appendonly", "yes", "--cluster-node-timeout")


def _formed(servers: list[Private]) -> Cluster:
    clients = [each.client() for each in servers]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)  # type: ignore[no-untyped-call]
        client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)  # type: ignore[no-untyped-call]
        if number < 3:
            slots = range(16384 * number // 3, 16384 * (number + 1) // 3)
            client.execute_command("CLUSTER ADDSLOTS", *slots)  # type: ignore[no-untyped-call]
    _await(lambda: all(_members(client) == len(servers) for client in clients))
    for client in clients[3:]:
        master = clients[0].execute_command("CLUSTER MYID")  # type: ignore[no-untyped-call]
        client.execute_command("CLUSTER REPLICATE", master)  # type: ignore[no-untyped-call]
        _await(lambda: clients[3].info("replication").get("master_link_status") == "up")
    _await(lambda: all(client.cluster("INFO")["cluster_state"] == "ok" for client in clients))
    for client in clients:
        client.close()
    return Cluster(servers)


def _members(client: redis.Redis) -> int:
    return int(client.cluster("INFO")["cluster_known_nodes"])


def _await(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not become true within 30 s"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def new_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Forms clusters, on the ports given, that last until the end of the run."""
    with ExitStack() as stack:

        def form(*ports: int, patience: int = 30_000) -> Cluster:
            """*patience*: milliseconds after which a silent server counts as failed; a busy machine makes them silent."""
            options = (*_MEMBER, str(patience))
            return _formed([_started(tmp_path_factory.mktemp("cluster"), options, stack, port) for port in ports])

        yield form


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    return lambda count: [free_port() for _ in range(count)]


@pytest.fixture(scope="session")
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """One that nobody breaks."""
    return new_cluster(*(free_port() for _ in range(3)))


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
    return _await
