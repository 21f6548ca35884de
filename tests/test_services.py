"""scripts/services.py: how the tests come by their servers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pg8000.native
import pytest

from scripts import probes, servers, services
from scripts.probes import Answer
from scripts.services import SERVICES, Service, ServiceError

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = [name for name, service in SERVICES.items() if name in services.DEFAULT or service.program()]
"""What must be startable: the services that the tests need, and whatever else is here."""
NOWHERE = "postgresql://somebody:secret@127.0.0.1:1/jobs"


@pytest.fixture
def nothing_local() -> Service:
    """PostgreSQL as on a machine where none runs and none is installed."""
    return dataclasses.replace(SERVICES["postgres"], local=list, program=lambda: None, package=None)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def answering(answer: Answer) -> Callable[[str], Answer]:
    return lambda url: answer


def test_the_variable_wins_over_the_usual_port(nothing_local: Service) -> None:
    service = dataclasses.replace(nothing_local, local=lambda: ["local"], probe=answering(Answer.READY))
    assert services.find(service, {"JOBKIT_TEST_POSTGRES_URL": "postgresql://mine/db"}) == "postgresql://mine/db"
    assert services.find(service, {}) == "local"


def test_a_server_that_wants_a_password_is_used_by_its_variable_and_never_by_its_port(nothing_local: Service) -> None:
    service = dataclasses.replace(nothing_local, local=lambda: ["local"], probe=answering(Answer.REFUSED))
    assert services.find(service, {}) is None
    assert services.find(service, {"JOBKIT_TEST_POSTGRES_URL": "postgresql://mine/db"}) == "postgresql://mine/db"


def test_a_variable_that_leads_nowhere_is_an_error_that_names_it_and_hides_the_password(nothing_local: Service) -> None:
    with pytest.raises(ServiceError) as caught:
        services.find(nothing_local, {"JOBKIT_TEST_POSTGRES_URL": NOWHERE})
    assert "JOBKIT_TEST_POSTGRES_URL is set to postgresql://somebody:***@127.0.0.1:1/jobs" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_service_that_can_not_be_had_says_what_to_do(nothing_local: Service, closing: ExitStack) -> None:
    service = dataclasses.replace(nothing_local, package="postgresql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(ServiceError) as caught:
            services.provide(service, {}, closing)
    assert str(caught.value) == (
        "postgres is neither running nor installed.\n"
        "Either set JOBKIT_TEST_POSTGRES_URL to the URL of a running one, or install PostgreSQL 13 or later"
        " (its initdb and postgres programs are enough) (Debian, Ubuntu: sudo apt-get install postgresql)."
    )


def test_a_missing_service_is_installed_where_that_is_allowed(nothing_local: Service, closing: ExitStack) -> None:
    installed: list[str] = []
    service = dataclasses.replace(
        nothing_local,
        package="postgresql",
        program=lambda: "initdb" if installed else None,
        probe=answering(Answer.READY),
        start=fake_server,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "installable", lambda service: True)
        patch.setattr(services, "install", lambda service: installed.append(service.name))
        assert services.provide(service, {}, closing) == "fake://"
    assert installed == ["postgres"]


def fake_server(folder: Path, code: str = "import time; time.sleep(60)") -> servers.Server:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=output)
    return servers.Server(process, "fake://", log)


def test_a_server_that_ends_at_once_is_reported_with_its_log(nothing_local: Service, closing: ExitStack) -> None:
    service = dataclasses.replace(
        nothing_local,
        program=lambda: "initdb",
        start=lambda folder: fake_server(folder, "raise SystemExit('no room')"),
        probe=answering(Answer.SILENT),
    )
    with pytest.raises(ServiceError, match="never answered:\nno room"):
        services.provide(service, {}, closing)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ServiceError, match="unknown service mysql; known are postgres, redis, rabbitmq, moto"):
        services.chosen("redis,mysql")


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_listener_that_never_speaks_is_no_service(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        url = f"sqs://us-east-1?endpoint=http://{address}" if name == "moto" else f"any://{address}/x"
        assert SERVICES[name].probe(url) is Answer.SILENT


@pytest.mark.parametrize("name", INSTALLED)
def test_a_private_server_is_started_answers_and_leaves_nothing_behind(name: str) -> None:
    service, folders = private(name)
    with ExitStack() as stack:
        url = services.provide(service, {}, stack)
        assert service.probe(url) is Answer.READY
    assert service.probe(url) is Answer.SILENT
    assert [folder.exists() for folder in folders] == [False]


def test_a_private_postgres_does_real_work(closing: ExitStack) -> None:
    url = urlsplit(services.provide(private("postgres")[0], {}, closing))
    connection = pg8000.native.Connection(
        url.username or "", host="127.0.0.1", port=url.port or 0, database=url.path.lstrip("/")
    )
    with contextlib.closing(connection):
        connection.run("CREATE TABLE proof (id int)")
        assert connection.run("INSERT INTO proof SELECT generate_series(1, 3) RETURNING id") == [[1], [2], [3]]
        assert connection.run("SHOW fsync") == [["on"]]


def private(name: str) -> tuple[Service, list[Path]]:
    """The service as if none ran at its usual port, and the folders that its servers are given."""
    service, folders = SERVICES[name], list[Path]()
    if service.program() is None and not services.installable(service):
        pytest.skip(f"the programs of {name} are not installed, and can't be installed from here")

    def start(folder: Path) -> servers.Server:
        folders.append(folder)
        return SERVICES[name].start(folder)

    return dataclasses.replace(service, local=list, start=start), folders


ENDLESS = """
import dataclasses, sys
from scripts import services
service = dataclasses.replace(services.SERVICES["moto"], local=list)
sys.exit(services.run([service], ["sleep", "60"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_what_was_started_for_it(number: signal.Signals) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "JOBKIT_TEST_SQS_URL"}
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr
        name, _, url = running.stderr.readline().strip().partition(": ")
        assert (name, probes.moto(url)) == ("moto", Answer.READY)
        running.send_signal(number)
        assert running.wait(20) == 128 + number
    assert probes.moto(url) is Answer.SILENT


def test_run_sets_the_variables_and_returns_the_exit_code_of_the_command() -> None:
    code = "import os, sys; sys.exit(40 + os.environ['JOBKIT_TEST_POSTGRES_URL'].startswith('postgresql://'))"
    assert run_command("run", "--", sys.executable, "-c", code).returncode == 41


def test_run_says_so_when_the_command_does_not_exist() -> None:
    done = run_command("run", "--", "no-such-command")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        69,
        "services: no-such-command can't be run: No such file or directory",
    )


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.services", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
