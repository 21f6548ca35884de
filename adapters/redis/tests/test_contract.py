"""Redis keeps the contract: as a single server, and as a cluster of three masters."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from jobkit_contract.testing import ContractTests


def _free_ports(count: int) -> list[int]:
    """Chosen before anything runs, since the suite is told the URL first; below those that the system hands out itself."""
    found: list[int] = []
    for port in range(21000, 22000):
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 10000)):
                found.append(port)
        except OSError:
            continue
        if len(found) == count:
            break
    return found


PORTS = _free_ports(4)


@pytest.fixture(scope="session")
def single(private_session: Callable[..., Any]) -> Any:
    return private_session("--appendonly", "yes", port=PORTS[0])


@pytest.fixture(scope="session")
def three(new_cluster: Callable[..., Any]) -> Any:
    return new_cluster(*PORTS[1:])


@pytest.mark.usefixtures("single")
class TestSingle(ContractTests):
    url: ClassVar[str] = f"redis://127.0.0.1:{PORTS[0]}/0"


@pytest.mark.usefixtures("three")
class TestCluster(ContractTests):
    url: ClassVar[str] = f"redis://127.0.0.1:{PORTS[1]}/0?cluster=true"
