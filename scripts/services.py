"""
The services that the tests talk to: found, else started, else installed, else asked for.

    python -m scripts.services run [--need postgres,redis] -- COMMAND ...
    python -m scripts.services status [--need ...]

`run` sets one variable for each service, runs COMMAND, stops what it started
and returns COMMAND's exit code. The order in which a service is looked for:
its variable, its usual local port, an installed program, the package manager.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from scripts import probes, servers
from scripts.probes import Answer, Probe
from scripts.servers import Server, StartError

DEFAULT = ("postgres", "redis", "rabbitmq", "moto")
"""What the tests need today."""

START_SECONDS = 60.0


class ServiceError(Exception):
    """A service can't be had; the text says what to do."""


@dataclass(frozen=True)
class Service:
    name: str
    variable: str
    local: Callable[[], Iterable[str]]  # URLs to try at the usual local port, best first
    probe: Probe
    program: Callable[[], str | None]  # an installed program that can be started
    start: Callable[[Path], Server]
    package: str | None  # Debian's name
    by_hand: str


def local_postgres() -> Iterator[str]:
    """The usual roles and databases; a database for tests comes before one that may hold somebody's work."""
    me = getpass.getuser()
    for role in dict.fromkeys((me, "postgres")):
        for database in dict.fromkeys(("test", "jobkit_test", me, "postgres")):
            yield f"postgresql://{role}@127.0.0.1:5432/{database}"


SERVICES = {
    service.name: service
    for service in (
        Service(
            name="postgres",
            variable="JOBKIT_TEST_POSTGRES_URL",
            local=local_postgres,
            probe=probes.postgres,
            program=servers.postgres_program,
            start=servers.start_postgres,
            package="postgresql",
            by_hand="install PostgreSQL 13 or later (its initdb and postgres programs are enough)",
        ),
        Service(
            name="redis",
            variable="JOBKIT_TEST_REDIS_URL",
            local=lambda: ["redis://127.0.0.1:6379/0"],
            probe=probes.redis,
            program=servers.redis_program,
            start=servers.start_redis,
            package="redis-server",
            by_hand="install Redis 6.2 or later (redis-server on the PATH)",
        ),
        Service(
            name="rabbitmq",
            variable="JOBKIT_TEST_RABBITMQ_URL",
            local=lambda: ["amqp://guest:guest@127.0.0.1:5672/"],
            probe=probes.rabbitmq,
            program=servers.rabbitmq_program,
            start=servers.start_rabbitmq,
            package="rabbitmq-server",
            by_hand="install RabbitMQ 3.10 or later (rabbitmq-server on the PATH)",
        ),
        Service(
            name="moto",
            variable="JOBKIT_TEST_SQS_URL",
            local=lambda: ["sqs://us-east-1?endpoint=http://127.0.0.1:5000"],
            probe=probes.moto,
            program=servers.moto_program,
            start=servers.start_moto,
            package=None,
            by_hand="run `make install`: moto[server] is among the locked dependencies",
        ),
    )
}


def find(service: Service, environment: Mapping[str, str]) -> str | None:
    """The URL of a running service: by its variable, else at its usual port."""
    if url := environment.get(service.variable):
        if service.probe(url) is Answer.SILENT:
            raise ServiceError(
                f"{service.variable} is set to {masked(url)}, and no {service.name} answers there."
                f" Start it, or unset {service.variable} to have one found or started."
            )
        return url
    return next((url for url in service.local() if service.probe(url) is Answer.READY), None)


def started(service: Service, stack: ExitStack) -> str:
    """The URL of a private server that ends, data and all, when *stack* is closed."""
    folder = Path(tempfile.mkdtemp(prefix=f"jobkit-{service.name}-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    try:
        server = service.start(folder)
    except (StartError, OSError) as error:
        raise ServiceError(f"{service.name} could not be started: {error}\n{advice(service)}") from error
    stack.callback(server.stop)
    if not probes.wait_ready(service.probe, server.url, seconds=START_SECONDS, alive=server.alive):
        raise ServiceError(f"{service.name} was started and never answered:\n{server.log_end()}\n{advice(service)}")
    return server.url


def installable(service: Service) -> bool:
    return service.package is not None and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(service: Service) -> None:
    """Install the Debian package; its output goes to stderr, because that may take a while."""
    assert service.package
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", service.package]):
        done = subprocess.run(["apt-get", *words], stdout=sys.stderr, env=environment, check=False)
        if done.returncode != 0:
            raise ServiceError(f"apt-get {' '.join(words)} failed.\n{advice(service)}")


def provide(service: Service, environment: Mapping[str, str], stack: ExitStack) -> str:
    if url := find(service, environment):
        return url
    if service.program() is None and installable(service):
        install(service)
    if service.program() is None:
        raise ServiceError(f"{service.name} is neither running nor installed.\n{advice(service)}")
    return started(service, stack)


def advice(service: Service) -> str:
    package = f" (Debian, Ubuntu: sudo apt-get install {service.package})" if service.package else ""
    return f"Either set {service.variable} to the URL of a running one, or {service.by_hand}{package}."


def masked(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


class Signals:
    """
    Hands SIGTERM and SIGINT on to the command instead of ending at once.

    A handler that raised would do so between any two lines, also between the
    start of a server and the note that it must be stopped.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        # A terminal has sent Ctrl-C to the command already; a second one would cut its own shutdown short.
        if self.child and not (number == signal.SIGINT and os.isatty(0)):
            self.child.send_signal(number)

    @contextmanager
    def caught(self) -> Iterator[Signals]:
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, self) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def run(services: Sequence[Service], command: Sequence[str]) -> int:
    """Run *command* with every service's variable set; its exit code, or 128 + the signal that ended it."""
    with Signals().caught() as signals, ExitStack() as stack:
        environment = dict(os.environ)
        for service in services:
            environment[service.variable] = provide(service, environment, stack)
            print(f"{service.name}: {masked(environment[service.variable])}", file=sys.stderr, flush=True)
            if signals.received:
                return 128 + signals.received
        code = _call(command, environment, signals)
    return 128 - code if code < 0 else code


def _call(command: Sequence[str], environment: Mapping[str, str], signals: Signals) -> int:
    try:
        signals.child = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise ServiceError(f"{command[0]} can't be run: {error.strerror}") from error
    if signals.received:  # it came before there was a child to hand it to
        signals.child.send_signal(signals.received)
    return signals.child.wait()


def status(service: Service, environment: Mapping[str, str]) -> str:
    """One line: what `run` would do about this service."""
    try:
        url = find(service, environment)
    except ServiceError as error:
        return str(error)
    if url:
        return f"{masked(url)} ({service.variable if service.variable in environment else 'usual local port'})"
    if found := service.program():
        return f"not running; would be started from {found}"
    if installable(service):
        return f"not installed; would be installed with apt-get ({service.package})"
    return f"missing. {advice(service)}"


def chosen(names: str) -> list[Service]:
    unknown = [name for name in names.split(",") if name not in SERVICES]
    if unknown:
        raise ServiceError(f"unknown service {', '.join(unknown)}; known are {', '.join(SERVICES)}")
    return [SERVICES[name] for name in names.split(",")]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="services", description="The services that the tests talk to.")
    verbs = top.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run", help="run a command with the services' variables set")
    running.add_argument("--need", default=",".join(DEFAULT), help="names, comma-separated (default: %(default)s)")
    running.add_argument("command", nargs="+", help="after --")
    showing = verbs.add_parser("status", help="say what would be used, and where")
    showing.add_argument("--need", default=",".join(SERVICES), help="names, comma-separated (default: all)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        services = chosen(options.need)
        if options.verb == "run":
            return run(services, options.command)
        for service in services:
            print(f"{service.name:<9} {status(service, os.environ)}")
    except ServiceError as error:
        print(f"services: {error}", file=sys.stderr)
        return 69  # EX_UNAVAILABLE: told apart from whatever the command itself may return
    return 0


if __name__ == "__main__":
    sys.exit(main())
