"""
Stand-ins for the world outside the shop: a mail server and a payment service, each a process of its own on 127.0.0.1.

Each prints its port as its first line and runs until its standard input ends: so none outlives the demo, whatever happens.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MAIL_SERVER = "examples.orders.services.mail_server"
PAYMENT_SERVICE = "examples.orders.services.payment_service"


@contextmanager
def running(module: str, *arguments: str) -> Iterator[str]:
    """Run *module* for the length of the block; gives its address, host:port."""
    command, pipe = [sys.executable, "-m", module, *arguments], subprocess.PIPE
    # In a process group of its own, it does not hear the Ctrl-C that ends the demo.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, process_group=0) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
