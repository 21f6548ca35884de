"""A client whose replies a test has in its hand, and what may become of one request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

Fault = Callable[[Callable[..., Any], dict[str, Any]], Any]


class Faulty:
    """
    A client whose next replies a test has in its hand.

    Attributes:
        faults: By operation: called with the true operation and its parameters, in its place, once each.
        calls: What was asked, in order.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[Callable[..., Any]]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def fault(self, operation: str, instead: Callable[..., Any]) -> None:
        self.faults.setdefault(operation, []).append(instead)

    def asked(self, *operations: str) -> list[dict[str, Any]]:
        return [parameters for operation, parameters in self.calls if operation in operations]

    def wrap(self, client: Any) -> Any:
        return _FaultyClient(self, client)

    def take(self, operation: str, parameters: dict[str, Any]) -> Callable[..., Any] | None:
        with self._lock:
            self.calls.append((operation, parameters))
            waiting = self.faults.get(operation)
            return waiting.pop(0) if waiting else None


class _FaultyClient:
    def __init__(self, faulty: Faulty, client: Any) -> None:
        self._faulty = faulty
        self._client = client

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            instead = self._faulty.take(name, parameters)
            return instead(operation, parameters) if instead else operation(**parameters)

        return call if name != "close" else operation


def lost_reply(operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """The request is carried out, and nobody hears of it."""
    operation(**parameters)
    raise ReadTimeoutError(endpoint_url="here")


def lost_request(_operation: Callable[..., Any], _parameters: dict[str, Any]) -> Any:
    """The request is lost, which looks the same to whoever sent it."""
    raise ReadTimeoutError(endpoint_url="here")


def unreachable(_operation: Callable[..., Any], _parameters: dict[str, Any]) -> Any:
    raise EndpointConnectionError(endpoint_url="here")


def refused(code: str, status: int = 400) -> Fault:
    def answer(_operation: Callable[..., Any], _parameters: dict[str, Any]) -> Any:
        reply = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(reply, "Something")  # type: ignore[arg-type]

    return answer


def partly(*failing: int, code: str = "InternalError", sender: bool = False) -> Fault:
    """Of a batch the entries at these places fail, within a reply that says 200."""

    def answer(operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        entries = parameters["Entries"]
        rest = [entry for place, entry in enumerate(entries) if place not in failing]
        reply = operation(**{**parameters, "Entries": rest}) if rest else {}
        failed = [
            {"Id": entries[place]["Id"], "SenderFault": sender, "Code": code, "Message": "failed"} for place in failing
        ]
        return {**reply, "Failed": [*reply.get("Failed", ()), *failed]}

    return answer


def then(after: Callable[[], object]) -> Fault:
    """The request is carried out, then *after* is called, then the reply comes."""

    def answer(operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        reply = operation(**parameters)
        after()
        return reply

    return answer
