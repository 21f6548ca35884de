"""
What the real SQS does and emulators do not, put between the adapter and an emulator.

Short looks that miss what is there, messages that come twice, entries that fail within a batch that succeeds, and receipt
handles that delete nothing because they are old. `adapter` is for the contract suite
(``--adapter jobkit_sqs.testing.unkind:adapter``): it does what no promise excludes. `Unkind` does the rest too, as much of
it as a test asks for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import attrs

from jobkit_sqs.adapter import SqsAdapter

BATCHES = ("send_message_batch", "delete_message_batch", "change_message_visibility_batch")


@attrs.define(kw_only=True)
class Unkind:
    """
    How unkind to be: shares of 1.

    Attributes:
        misses: Short looks that come back with nothing.
        fewer: Looks that bring one message only.
        twice: Received messages that are there a second time.
        fails: Entries of batches that SQS could not carry out this time.
        did: How often each happened.
    """

    misses: float = 0.0
    fewer: float = 0.0
    twice: float = 0.0
    fails: float = 0.0
    seed: int = 0
    did: Counter[str] = attrs.field(factory=Counter)
    _random: Random = attrs.field(init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)

    def happens(self, what: str, share: float) -> bool:
        with self._lock:
            hit = self._random.random() < share
            self.did[what] += hit
            return hit

    def wrap(self, client: Any) -> Any:
        return UnkindClient(client, self) if client.meta.service_model.service_name == "sqs" else client


_newest: dict[str, str] = {}
"""The newest receipt handle of each message, by its older handles and itself."""

_handles: dict[str, str] = {}
"""The message of each receipt handle."""


class UnkindClient:
    """A client of SQS on a bad day."""

    def __init__(self, client: Any, unkind: Unkind) -> None:
        self._client = client
        self._unkind = unkind

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._client, name)
        if name not in BATCHES:
            return operation
        return lambda **parameters: self._batch(name, operation, parameters)

    def receive_message(self, **parameters: Any) -> Mapping[str, Any]:
        if not parameters.get("WaitTimeSeconds") and self._unkind.happens("misses", self._unkind.misses):
            return {"ResponseMetadata": {"HTTPHeaders": {}}}
        if self._unkind.happens("fewer", self._unkind.fewer):
            parameters["MaxNumberOfMessages"] = 1
        reply: Mapping[str, Any] = self._client.receive_message(**parameters)
        for message in reply.get("Messages", ()):
            _handles[message["ReceiptHandle"]] = message["MessageId"]
            _newest[message["MessageId"]] = message["ReceiptHandle"]
            if self._unkind.happens("twice", self._unkind.twice):
                self._send_again(parameters["QueueUrl"], message)
        return reply

    def _send_again(self, url: str, message: Mapping[str, Any]) -> None:
        attributes = {
            name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
            for name, value in message.get("MessageAttributes", {}).items()
        }
        self._client.send_message(QueueUrl=url, MessageBody=message["Body"], MessageAttributes=attributes)

    def _batch(self, name: str, operation: Any, parameters: dict[str, Any]) -> Mapping[str, Any]:
        passed, failed, ignored = [], [], []
        for entry in parameters["Entries"]:
            if self._unkind.happens("fails", self._unkind.fails):
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "not this time"})
            elif name == "delete_message_batch" and self._is_old(entry["ReceiptHandle"]):
                ignored.append({"Id": entry["Id"]})
            else:
                passed.append(entry)
        reply = operation(**{**parameters, "Entries": passed}) if passed else {"ResponseMetadata": {"HTTPHeaders": {}}}
        return {
            **reply,
            "Successful": [*reply.get("Successful", ()), *ignored],
            "Failed": [*reply.get("Failed", ()), *failed],
        }

    def _is_old(self, handle: str) -> bool:
        """Whether the message has been received again since: deleting it "succeeds but might not delete"."""
        message = _handles.get(handle)
        return message is not None and _newest[message] != handle and self._unkind.happens("old handles", 1.0)


adapter = SqsAdapter(wrap=Unkind(misses=0.2, fewer=0.2).wrap)
