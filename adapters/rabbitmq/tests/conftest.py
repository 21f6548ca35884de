"""A namespace of its own for every test, removed afterwards; and a private server for what nobody may do to a shared one."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import amqp
import pytest

from jobkit.transport import Delivery, Message
from jobkit.url import Url
from jobkit_rabbitmq import adapter
from jobkit_rabbitmq.transport import RabbitmqTransport
from scripts import servers

VARIABLE = "JOBKIT_TEST_RABBITMQ_URL"

SMALL = 1024 * 1024
"""Bytes: the private server's largest message, below what jobkit declares."""


class Broker:
    """A RabbitMQ server of our own, which can be killed, restarted and told to be short of memory."""

    def __init__(self, folder: Path) -> None:
        program = servers.rabbitmq_program()
        if program is None:
            pytest.fail("rabbitmq-server is not installed; these tests restart one of their own", pytrace=False)
        self._program = program
        self._folder = folder
        self.port, self.tls_port, names_port, dist_port = (_free_port() for _ in range(4))
        self._node = f"jobkit{self.port}@localhost"
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {folder}/server.pem\n"
            f"ssl_options.keyfile = {folder}/server.key\n"
            "ssl_options.verify = verify_none\n"
            f"max_message_size = {SMALL}\n"
        )
        self.certificate = _make_certificate(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "guest", **options: str) -> Url:
        return Url.parse(f"amqp://{user}:{user}@127.0.0.1:{self.port}//").with_params(**options)

    def tls_url(self, host: str, **options: str) -> Url:
        return Url.parse(f"amqps://guest:guest@{host}:{self.tls_port}//").with_params(**options)

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program], env=self._environment, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        self._await_login()

    def kill(self) -> None:
        """As a power cut would, as far as processes go."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def restart(self) -> None:
        self.stop()
        self.start()

    def end(self) -> None:
        self.kill()
        if shutil.which("epmd"):
            names_port = self._environment["ERL_EPMD_PORT"]
            subprocess.run(["epmd", "-port", names_port, "-kill"], capture_output=True, check=False)

    def control(self, *words: str) -> str:
        """What ``rabbitmqctl`` says."""
        program = shutil.which("rabbitmqctl", path=f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}")
        assert program is not None
        command = [program, "-q", "-n", self._node, *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _await_login(self) -> None:
        end = time.monotonic() + 90
        while True:
            try:
                with closing(amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5)) as connection:
                    connection.connect()
                    return
            except (OSError, amqp.AMQPError):
                log = (self._folder / "log").read_text(errors="replace")[-2000:]
                assert time.monotonic() < end, f"the private server did not come up:\n{log}"
                time.sleep(0.2)


@contextmanager
def running() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        private = Broker(Path(folder))
        private.start()
        yield private
        private.end()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with running() as private:
        yield private


@pytest.fixture(scope="module")
def mortal() -> Iterator[Broker]:
    """A server that is restarted and killed."""
    with running() as private:
        yield private


@pytest.fixture
def private(broker: Broker) -> Url:
    """A namespace on the private server, set up; it goes with its server."""
    url = broker.url(namespace=f"t_{secrets.token_hex(8)}", timeout="5")
    adapter.setup(url, ["q"])
    return url


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
    adapter.setup(bare, ["q"])
    return bare


@pytest.fixture
def open_transport() -> Iterator[Callable[[Url], RabbitmqTransport]]:
    opened: list[RabbitmqTransport] = []

    def another(url: Url) -> RabbitmqTransport:
        opened.append(adapter.transport(url))
        return opened[-1]

    yield another
    for transport in opened:
        transport.close()


@pytest.fixture
def transport(url: Url, open_transport: Callable[[Url], RabbitmqTransport]) -> RabbitmqTransport:
    return open_transport(url)


@pytest.fixture
def channel(server: Url) -> Iterator[amqp.Channel]:
    """The driver alone, beside jobkit."""
    with closing(_dial(server)) as connection:
        yield connection.channel()


@pytest.fixture
def take() -> Callable[..., list[Delivery]]:
    """Receives without waiting, unless told to."""

    def receive(
        transport: RabbitmqTransport, *queues: str, limit: int = 10, wait: float = 0, lease: float = 30
    ) -> list[Delivery]:
        return transport.receive(queues or ["q"], limit=limit, wait=wait, lease=lease, stop=threading.Event())

    return receive


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(name: str, body: bytes = b"x", queue: str = "q") -> Message:
        return Message(id=name, queue=queue, body=body)

    return make


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until something is true."""

    def wait(condition: Callable[[], object], within: float = 20) -> None:
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.02)

    return wait


def _dial(url: Url) -> amqp.Connection:
    connection = amqp.Connection(
        f"{url.host}:{url.port or 5672}", userid=url.username, password=url.password, virtual_host=url.path or "/"
    )
    connection.connect()
    return connection


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _make_certificate(folder: Path) -> Path:
    """A certificate for the name localhost, signed by itself."""
    certificate = folder / "server.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{folder}/server.key", "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return certificate
