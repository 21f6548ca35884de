"""
Private servers for the tests: started from installed programs on a free port, with data in a folder of their own.

Durability is left as the server ships it. A test bed with fsync turned off
would be faster, and would no longer be what the adapters are checked against.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

UNPRIVILEGED = ("postgres", "_postgres", "nobody")
"""System users, best first, for servers which refuse to run as root."""

Word = str | Path


class StartError(Exception):
    """A server was not started; the text says why, with the end of its log."""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    farewell: tuple[str, ...] = ()
    """A command for what the server leaves running when it has ended."""

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask, wait ten seconds, then kill."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.farewell and shutil.which(self.farewell[0]):
            subprocess.run(self.farewell, capture_output=True, check=False)

    def log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


def program(name: str, *places: str) -> str | None:
    """
    The path of an installed program.

    Looked for on PATH, then in *places*: glob patterns under /. Debian keeps
    the servers of PostgreSQL off the PATH, one folder for each version.
    """
    if found := shutil.which(name):
        return found
    found_in_places = [path / name for place in places for path in Path("/").glob(place) if (path / name).exists()]
    return str(max(found_in_places, key=_version)) if found_in_places else None


def postgres_program() -> str | None:
    return program("initdb", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")


def redis_program() -> str | None:
    return program("redis-server") or program("valkey-server")


def rabbitmq_program() -> str | None:
    # Debian's wrapper on PATH changes the user and drops the environment: the server itself comes first.
    own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(own) if own.exists() else program("rabbitmq-server", "opt/homebrew/sbin")


def moto_program() -> str | None:
    return sys.executable if importlib.util.find_spec("moto") else None


def start_postgres(folder: Path) -> Server:
    programs, port, user = Path(_needed(postgres_program())).parent, _free_port(), getpass.getuser()
    data = folder / "data"
    system_user = _unprivileged(folder) if os.geteuid() == 0 else None
    initdb: list[Word] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        user,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    _run(initdb, folder, system_user)
    # Before the server is up, so that nobody ever meets one that lacks its database.
    _run([programs / "postgres", "--single", "-D", data, "postgres"], folder, system_user, "CREATE DATABASE test;\n")
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "max_connections=200"]
    options = [word for setting in settings for word in ("-c", setting)]
    return _spawn(
        [programs / "postgres", "-D", data, *options],
        folder,
        f"postgresql://{user}@127.0.0.1:{port}/test",
        system_user=system_user,
    )


def start_redis(folder: Path) -> Server:
    port = _free_port()
    options: list[Word] = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes"]
    return _spawn([_needed(redis_program()), *options], folder, f"redis://127.0.0.1:{port}/0")


def start_rabbitmq(folder: Path) -> Server:
    port, names_port = _free_port(), str(_free_port())
    config = folder / "rabbitmq.conf"
    config.write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n")
    plugins = folder / "enabled_plugins"
    plugins.write_text("[].\n")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"jobkit{port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        # A name daemon of its own: the usual one, if it runs, belongs to somebody else's broker.
        "ERL_EPMD_PORT": names_port,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    url = f"amqp://guest:guest@127.0.0.1:{port}/"
    server = _spawn([_needed(rabbitmq_program())], folder, url, environment=environment)
    return replace(server, farewell=("epmd", "-port", names_port, "-kill"))


def start_moto(folder: Path) -> Server:
    port = _free_port()
    command = [_needed(moto_program()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return _spawn(command, folder, f"sqs://us-east-1?endpoint=http://127.0.0.1:{port}")


def _spawn(
    command: Sequence[Word],
    folder: Path,
    url: str,
    *,
    system_user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Server:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            # Ctrl-C in a terminal reaches the whole group; the server must outlive the tests' own shutdown.
            start_new_session=True,
            user=system_user,
            group=_group(system_user),
            extra_groups=[] if system_user else None,
        )
    return Server(process, url, log)


def _run(command: Sequence[Word], folder: Path, system_user: str | None, text: str = "") -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        input=text.encode(),
        capture_output=True,
        check=False,
        user=system_user,
        group=_group(system_user),
        extra_groups=[] if system_user else None,
    )
    if done.returncode != 0:
        raise StartError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).decode().strip()}")


def _unprivileged(folder: Path) -> str:
    """The system user that a server runs as, made owner of *folder*."""
    for name in UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return name
    raise StartError(f"PostgreSQL refuses to run as root, and none of the users {', '.join(UNPRIVILEGED)} exists")


def _group(system_user: str | None) -> int | None:
    return pwd.getpwnam(system_user).pw_gid if system_user else None


def _needed(found: str | None) -> str:
    if found is None:
        raise StartError("the program is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _version(path: Path) -> list[int]:
    digits = "".join(sign if sign.isdigit() else " " for sign in str(path))
    return [int(number) for number in digits.split()]
