"""Settlements: in one script where all their queues lie on one server, and in a careful order where they do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from jobkit.errors import JobKitError
from jobkit.transport import Answer, Delivery, Done, Message, Sent, Settled, Settlement
from jobkit_redis.answers import spread
from jobkit_redis.messages import LOST, YES, queues_of, settled_words, size_of
from jobkit_redis.requests import Request, chunks, run
from jobkit_redis.scripts import EXTEND, SETTLE
from jobkit_redis.server import Server

Numbered = tuple[int, Settlement]


class Settling:
    """
    Args:
        send: Sends successors to queues on other servers.
    """

    def __init__(self, server: Server, send: Callable[[Sequence[Message]], list[Sent]]) -> None:
        self._server = server
        self._send = send

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        items = list(enumerate(settlements))
        if not self._server.slots.several or not any(map(self._reaches_out, settlements)):
            answers = self._in_place(items)
        else:
            # Of two settlements of one loan the first counts, also if the second would be carried out sooner.
            first, repeated = _once_each(items)
            answers = self._in_two_parts(first)
            answers |= {number: _after(answers[earlier]) for number, earlier in repeated.items()}
        return [answers[number] for number in range(len(settlements))]

    def test(self, deliveries: Sequence[Delivery], lease: int = 0) -> list[Settled]:
        """Whether each loan is still held; if *lease* (microseconds) is not 0 it lasts for that long from now on."""
        by_queue: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, delivery in enumerate(deliveries):
            by_queue[delivery.message.queue].append((0, number))
        places, requests = [], []
        for queue, numbers in by_queue.items():
            for chunk in chunks(numbers):
                words = [word for number in chunk for word in _loan(deliveries[number])]
                places.append(chunk)
                requests.append(run(EXTEND, self._server.keys.of_queue(queue), lease, *words))
        answers = spread(places, self._server.ask(requests), _read, _unknown)
        return [answers[number] for number in range(len(deliveries))]

    def _reaches_out(self, settlement: Settlement) -> bool:
        """Whether its queues lie in several slots of a cluster, which no script can span."""
        return len({self._slot(queue) for queue in queues_of([settlement])}) > 1

    def _slot(self, queue: str) -> int:
        slots = self._server.slots
        return slots.slot_of(self._server.keys.wake(queue)) if slots.several else 0

    def _in_place(self, items: Sequence[Numbered]) -> dict[int, Settled]:
        by_slot: defaultdict[int, list[tuple[int, Numbered]]] = defaultdict(list)
        for number, settlement in items:
            slot = self._slot(settlement.delivery.message.queue)
            by_slot[slot].append((size_of(settlement), (number, settlement)))
        places, requests = [], []
        for together in by_slot.values():
            for chunk in chunks(together):
                places.append([number for number, _ in chunk])
                requests.append(self._request([settlement for _, settlement in chunk]))
        return spread(places, self._server.ask(requests), _read, _unknown)

    def _request(self, settlements: Sequence[Settlement]) -> Request:
        queues = queues_of(settlements)
        numbers = {queue: place for place, queue in enumerate(queues, 1)}
        keys = [key for queue in queues for key in self._server.keys.of_queue(queue)]
        return run(SETTLE, keys, *(word for each in settlements for word in settled_words(each, numbers)))

    def _in_two_parts(self, items: Sequence[Numbered]) -> dict[int, Settled]:
        near = [(number, each) for number, each in items if not self._reaches_out(each)]
        far = [(number, each) for number, each in items if self._reaches_out(each)]
        answers = self._in_place(near)
        try:
            return answers | self._across(far)
        except JobKitError as error:
            if not near:
                raise
            return answers | {number: _unknown(str(error)) for number, _ in far}

    def _across(self, items: Sequence[Numbered]) -> dict[int, Settled]:
        """
        Successors first, the end of their predecessor second: a crash in between repeats the predecessor, and the same
        successors (by their ids) with it. Nothing is sent for a loan that is over.
        """
        held = self.test([settlement.delivery for _, settlement in items])
        answers = {number: answer for (number, _), answer in zip(items, held, strict=True)}
        living = [(number, each) for number, each in items if answers[number].answer is Answer.YES]
        sent = self._send_all([each for _, each in living])
        answers |= {number: failed for (number, _), failed in zip(living, sent, strict=True) if failed}
        ends: list[Numbered] = [
            (number, Done(each.delivery)) for (number, each), failed in zip(living, sent, strict=True) if not failed
        ]
        return answers | self._in_place_or_unknown(ends)

    def _send_all(self, settlements: Sequence[Settlement]) -> list[Settled | None]:
        """For each of *settlements* None once its successors are stored, and else why they may not be."""
        batch = [message for each in settlements if isinstance(each, Done) for message in each.then]
        try:
            sent = iter(self._send(batch))
        except JobKitError as error:
            return [_unknown(str(error))] * len(settlements)
        found = []
        for each in settlements:
            answers = [next(sent) for _ in (each.then if isinstance(each, Done) else ())]
            bad = next((answer for answer in answers if answer.answer is not Answer.YES), None)
            found.append(_unknown(bad.reason) if bad else None)
        return found

    def _in_place_or_unknown(self, items: Sequence[Numbered]) -> dict[int, Settled]:
        try:
            return self._in_place(items)
        except JobKitError as error:  # the successors have been sent already
            return {number: _unknown(str(error)) for number, _ in items}


def _once_each(items: Sequence[Numbered]) -> tuple[list[Numbered], dict[int, int]]:
    """The first settlement of each loan, and for every further one the number of its first."""
    first: dict[tuple[str, ...], int] = {}
    kept, repeated = [], {}
    for number, settlement in items:
        loan = (settlement.delivery.message.queue, *_loan(settlement.delivery))
        if loan in first:
            repeated[number] = first[loan]
        else:
            first[loan] = number
            kept.append((number, settlement))
    return kept, repeated


def _after(first: Settled) -> Settled:
    """The answer to a second settlement of a loan."""
    return LOST if first.answer in (Answer.YES, Answer.LOST) else first


def _loan(delivery: Delivery) -> tuple[str, str]:
    return delivery.message.id, str(delivery.receipt)


def _read(reply: Sequence[int]) -> list[Settled]:
    return [YES if each else LOST for each in reply]


def _unknown(reason: str) -> Settled:
    return Settled(Answer.UNKNOWN, reason)
