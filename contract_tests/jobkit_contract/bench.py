"""The workbench of one check: handles on one fresh namespace, second holders, threads, processes, randomness."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from random import Random
from typing import Any, Protocol, TypeVar

from jobkit.store import Store, StoreCapabilities
from jobkit.transport import Message, Transport, TransportCapabilities
from jobkit_contract.clause import NotRun
from jobkit_contract.connecting import OPENERS, installed
from jobkit_contract.harness import Harness
from jobkit_contract.place import Place
from jobkit_contract.processes import Child

T = TypeVar("T")

QUEUES = ("jobs", "other")
"""What `setup` is told; checks that use other names say why."""


class _Closing(Protocol):
    def close(self) -> None: ...


H = TypeVar("H", bound=_Closing)


class Bench:
    """
    Args:
        place: Where to open things. It has been set up, unless the check is about that.
        harness: None in a child process.
        seed: For `random` and the messages' ids.
    """

    def __init__(self, place: Place, *, harness: Harness | None = None, seed: str = "0") -> None:
        self.place = place
        self.harness = harness
        self.seed = seed
        self.random = Random(seed)
        self._lock = threading.Lock()
        self._handles: list[_Closing] = []
        self._siblings: list[Bench] = []
        self.threads: list[threading.Thread] = []

    # Handles

    def transport(self) -> Transport:
        """A further holder on this namespace, as another worker would be."""
        transport = self.place.open_transport()
        if transport is None:
            raise NotRun("this URL names no transport")
        return self._kept(transport)

    def store(self) -> Store:
        """A further handle on this namespace's store."""
        store = self.place.open_store()
        if store is None:
            raise NotRun("this URL names no store")
        return self._kept(store)

    def sibling(self, namespace: str = "", *, setup: bool = True) -> Bench:
        """A bench on another namespace of the same backend; by default a fresh one."""
        assert self.harness is not None
        place = self.place.in_namespace(namespace) if namespace else self.harness.fresh_place()
        with self._lock:
            bench = Bench(place, harness=self.harness, seed=f"{self.seed}/sibling {len(self._siblings)}")
            self._siblings.append(bench)
        if setup:
            place.setup(QUEUES)
        return bench

    def spawn(self, script: str, *, wrong_clock: bool = False, **arguments: Any) -> Child:
        """A process that runs *script*, a function of `jobkit_contract.scripts` or ``module:function``."""
        order = {
            "place": self.place.as_json(),
            "script": script if ":" in script else f"jobkit_contract.scripts:{script}",
            "arguments": arguments,
            "seed": f"{self.seed}/{script}",
            "wrong_clock": wrong_clock,
        }
        return self._kept(Child(order))

    def store_statements(self) -> Any:
        """What turns writes into statements for the user's connection: the store's adapter, by its transport or store."""
        store = self.store()
        transport = self.place.open_transport_beside_store()
        for handle in (store, transport and self._kept(transport)):
            if hasattr(handle, "statements"):
                return handle
        return None

    def kinds_of_connection(self, store: bool = False) -> list[str]:
        """
        Raises:
            NotRun: Nobody said how a user of this backend connects.
        """
        url = self.place.store_url or self.place.url if store else self.place.url
        openers = (self.harness.openers if self.harness else OPENERS).get(url.scheme, {})
        kinds = [kind for kind in openers if installed(kind)]
        if not kinds:
            raise NotRun(f"nothing says how to open a user's connection for {url.scheme}://; give the harness an opener")
        return kinds

    @contextmanager
    def connection(self, kind: str, store: bool = False) -> Iterator[Any]:
        """A user's own connection, in a transaction."""
        url = self.place.store_url or self.place.url if store else self.place.url
        openers = self.harness.openers if self.harness else OPENERS
        connection = openers[url.scheme][kind](url)
        try:
            yield connection
        finally:
            connection.close()

    # Data

    @cached_property
    def capabilities(self) -> TransportCapabilities:
        return self.transport().capabilities

    @cached_property
    def store_capabilities(self) -> StoreCapabilities:
        return self.store().capabilities

    def message(self, body: bytes | str = b"", *, queue: str = "jobs", delay: float = 0.0) -> Message:
        """A new one, with an id like those of the core."""
        with self._lock:
            number = self.random.getrandbits(128)
        data = body.encode() if isinstance(body, str) else body
        return Message(id=str(uuid.UUID(int=number, version=4)), queue=queue, body=data, delay=delay)

    def messages(self, count: int, *, queue: str = "jobs", delay: float = 0.0) -> list[Message]:
        """*count* new ones whose bodies are their numbers, from 0."""
        return [self.message(str(number), queue=queue, delay=delay) for number in range(count)]

    # Concurrency

    def start(self, function: Callable[[], T]) -> Future[T]:
        """Run *function* in a thread beside the check; its result or error is fetched from the future."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001  (handed to whoever asks for the result)
                future.set_exception(error)

        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            self.threads.append(thread)
        thread.start()
        return future

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    # The end

    def keep(self, handle: H) -> H:
        """Close *handle* with the others when the check ends."""
        return self._kept(handle)

    def close_handles(self) -> None:
        with self._lock:
            handles, self._handles = self._handles[::-1], []
            siblings = list(self._siblings)
        for handle in handles:
            handle.close()
        for bench in siblings:
            bench.close_handles()

    def teardown(self) -> None:
        """Close everything, and leave nothing on the server."""
        self.close_handles()
        for bench in [*self._siblings, self]:
            bench.place.teardown()

    def _kept(self, handle: H) -> H:
        with self._lock:
            self._handles.append(handle)
        return handle
