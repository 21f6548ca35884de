"""Faults of sending, and of what bodies and delays come to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import attrs

from jobkit.memory import MemoryTransport
from jobkit.transport import Answer, Message, Sent, check_messages
from jobkit_contract.mutants.bank import fault


class Meddling(MemoryTransport):
    """Stores messages after *meddle* has had them."""

    def meddle(self, message: Message) -> Message | None:
        return message

    def _store(self, message: Message) -> None:
        changed = self.meddle(message)
        if changed is not None:
            super()._store(changed)


@fault("returns before the write", "SND-7")
class ReturnsEarly(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        check_messages(messages, self.capabilities)
        with self._changed:
            self._check_open()
        threading.Timer(0.02, self._write_behind, [messages]).start()
        return [Sent(Answer.YES) for _ in messages]

    def _write_behind(self, messages: Sequence[Message]) -> None:
        if not self._closed:
            super().send(messages)


@fault("loses 1 in 500", "DLV-1")
class Loses(Meddling):
    def __init__(self, broker: Any, *rest: Any) -> None:
        super().__init__(broker, *rest)
        self._seen: set[str] = vars(broker).setdefault("seen", set())

    def meddle(self, message: Message) -> Message | None:
        self._seen.add(message.id)
        return None if len(self._seen) % 500 == 499 else message


@fault("swaps two bodies of a batch", "SND-7")
class Swaps(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        mixed = list(messages)
        if len(mixed) > 9:
            mixed[3] = attrs.evolve(messages[3], body=messages[7].body)
            mixed[7] = attrs.evolve(messages[7], body=messages[3].body)
        return super().send(mixed)


@fault("drops item 11", "SND-7")
class DropsEleven(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        answers = super().send([message for number, message in enumerate(messages, 1) if number != 11])
        return answers + [Sent(Answer.YES)] * (len(messages) - len(answers))


@fault("strips NUL", "DLV-2")
class StripsNul(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, body=message.body.strip(b"\0"))


@fault("keeps bodies as text", "DLV-2")
class Text(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, body=message.body.decode(errors="replace").encode())


@fault("spoils bodies of successors only", "DLV-2")
class SpoilsSuccessors(Meddling):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        self._sending = True
        try:
            return super().send(messages)
        finally:
            self._sending = False

    def meddle(self, message: Message) -> Message:
        return message if self._sending else attrs.evolve(message, body=message.body.rstrip())

    _sending = False


@fault("cuts large bodies off", "DLV-3")
class CutsOff(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, body=message.body[: self.capabilities.max_body - 1])


@fault("takes any size", "DLV-3")
class TakesAnySize(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        with self._changed:
            self._check_open()
            check_messages([attrs.evolve(message, body=b"") for message in messages], self.capabilities)
            for message in messages:
                self._store(message)
            self._changed.notify_all()
        return [Sent(Answer.YES) for _ in messages]


@fault("sends half of a refused batch", "SND-5")
class SendsHalf(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        return [answer for message in messages for answer in super(SendsHalf, self).send([message])]


@fault("drops what goes to a new queue", "SND-4")
class DropsNewQueue(Meddling):
    def meddle(self, message: Message) -> Message | None:
        return None if message.queue == "never-heard-of" else message


@fault("takes any queue name", "SND-5")
class TakesAnyName(MemoryTransport):
    def send(self, messages: Sequence[Message]) -> list[Sent]:
        return super().send([attrs.evolve(message, queue=message.queue.strip() or "jobs") for message in messages])


@fault("truncates delays to whole seconds", "DLY-1")
class TruncatesDelays(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, delay=float(int(message.delay)))


@fault("caps delays", "DLY-1")
class CapsDelays(Meddling):
    def meddle(self, message: Message) -> Message:
        return attrs.evolve(message, delay=min(message.delay, 2.0))


@fault("forgets the delay of a successor", "STL-5")
class ForgetsDelay(SpoilsSuccessors):
    def meddle(self, message: Message) -> Message:
        return message if self._sending else attrs.evolve(message, delay=0.0)


@fault("makes a copy of a repeated send", "DLV-5")
class Copies(Meddling):
    def meddle(self, message: Message) -> Message:
        jobs = self._queue(message.queue).jobs
        return attrs.evolve(message, id=f"{message.id}~") if message.id in jobs else message


@fault("mixes queues up that differ in case", "DLV-7")
class IgnoresCase(MemoryTransport):
    def _queue(self, name: str) -> Any:
        return super()._queue(name.lower())
