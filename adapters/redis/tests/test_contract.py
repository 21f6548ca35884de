"""Redis keeps the contract: as a single server, and as a cluster of three masters."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from jobkit_contract.testing import ContractTests


def _free_port() -> int:
    """
    Chosen before anything runs, since the suite is told the URL first: so at random, in case several runs choose at once,
    and where neither it nor a cluster's second port, 10,000 above, is one that the system hands out by itself.
    """
    while True:
        port = random.SystemRandom().randrange(12_000, 22_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


PORTS = [_free_port() for _ in range(4)]


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
