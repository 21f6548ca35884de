"""
A payment service as they are, slow, at times overloaded, and strict.

POST /payments/KEY takes a payment once, however often it is asked to; PUT /mended ends all trouble. Whom it refuses follows
from the order, so every run tells the same story.

    python -m examples.orders.services.payment_service FILE      FILE gets a line of JSON per payment that was taken
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from decimal import Decimal
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zlib import crc32

import attrs

USUAL = 0.005
"""Seconds that an answer usually takes."""

HANGING = 1.5
"""Seconds that it takes at times, which is longer than a client waits; the payment was taken all the same."""


@attrs.frozen
class Payment:
    """One that was taken."""

    key: str
    customer: str
    dollars: Decimal


def read_payments(log: Path) -> list[Payment]:
    """All that were taken, in order."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [Payment(line["key"], line["customer"], Decimal(line["dollars"])) for line in lines]


def mend(address: str) -> None:
    """Tell the service at *address* to end all trouble."""
    connection = HTTPConnection(address, timeout=10)
    connection.request("PUT", "/mended")
    connection.getresponse().read()
    connection.close()


class Till:
    """
    The payments, and the trouble with them.

    Args:
        log: The file that payments are noted in.
        overloaded, hanging: Which part of the requests meets that trouble.

    Attributes:
        mended: Whether all trouble is over.
    """

    def __init__(self, log: Path, *, overloaded: float = 0.02, hanging: float = 0.002) -> None:
        self.mended = False
        self._overloaded = overloaded
        self._hanging = hanging
        self._log = log.open("a", buffering=1)
        self._taken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._random = random.Random(1997)

    def pay(self, key: str, payment: dict[str, str]) -> tuple[int, str]:
        """Status and text to answer with."""
        time.sleep(USUAL)
        if self._meets(self._overloaded):
            return 503, "overloaded"
        if not self.mended and (refusal := _refusal(payment)):
            return refusal
        with self._lock:
            if key in self._taken:
                return 200, self._taken[key]
            number = self._taken[key] = f"payment {len(self._taken) + 1}"
            self._log.write(json.dumps({"key": key, **payment}) + "\n")
        if self._meets(self._hanging):
            time.sleep(HANGING)
        return 201, number

    def _meets(self, part: float) -> bool:
        return not self.mended and self._random.random() < part

    def __enter__(self) -> Till:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()


def _refusal(payment: dict[str, str]) -> tuple[int, str] | None:
    lot = crc32(payment["customer"].encode()) % 200
    if lot == 0:
        return 402, "card expired"
    if lot == 1:
        return 503, "the customer's bank does not answer"
    if Decimal(payment["dollars"]) > 200:
        return 402, "over the card's limit"
    return None


class Requests(BaseHTTPRequestHandler):
    """HTTP in front of the till."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    till: Till

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(*self.till.pay(self.path.removeprefix("/payments/"), json.loads(body)))

    def do_PUT(self) -> None:
        self.till.mended = True
        self._answer(200, "mended")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The log of payments says what matters."""

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Leaves at once when told to, and is silent about clients that hung up."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(log: Path) -> None:
    """Until standard input ends."""
    with Till(log) as Requests.till, Server(("127.0.0.1", 0), Requests) as server:
        threading.Thread(target=server.serve_forever).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
