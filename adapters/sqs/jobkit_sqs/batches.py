"""Any number of entries as requests of ten side by side, and one answer for each entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from jobkit.errors import JobKitError, Rejected, Unavailable
from jobkit.transport import Answer, Settled
from jobkit_sqs.addresses import Addresses
from jobkit_sqs.failures import Missing, ReplyLost
from jobkit_sqs.parallel import Parallel
from jobkit_sqs.service import Service
from jobkit_sqs.wire import MOST_BYTES

MOST_ENTRIES = 10

YES = Settled(Answer.YES)


@attrs.frozen(eq=False)
class Entry:
    """
    One entry of a batch request.

    Attributes:
        allowed: Asked at the last moment before the request leaves; what it gives otherwise is the answer.
    """

    queue: str
    fields: Mapping[str, Any]
    size: int = 0
    allowed: Callable[[], Settled | None] = attrs.field(default=lambda: None)


Refused = Callable[[Mapping[str, Any]], Settled]
"""What an entry of a reply's ``Failed`` list means."""


class Batches:
    """Carries out batch requests of one handle. Safe for several threads."""

    def __init__(self, service: Service, addresses: Addresses, parallel: Parallel) -> None:
        self._service = service
        self._addresses = addresses
        self._parallel = parallel

    def carry_out(self, operation: str, entries: Sequence[Entry], refused: Refused) -> list[Settled]:
        """
        One answer for each of *entries*, in order. What failed without a reply is UNKNOWN; so is what was not sent after
        other parts had been, since "nothing was changed" would no longer be true of the call.

        Raises:
            Unavailable, SetupRequired, ConfigurationError: Nothing was changed.
        """
        if not entries:
            return []
        urls = self._addresses.find(entry.queue for entry in entries)
        late = self._service.clock.steady() + self._service.target.options.timeout

        def request(piece: list[int]) -> dict[int, Settled]:
            return self._request(operation, urls[entries[piece[0]].queue], entries, piece, refused, late)

        pieces = list(_pieces(entries))
        given = self._parallel.each(request, pieces)
        for piece, result in zip(pieces, given, strict=True):
            if isinstance(result, Missing):
                self._addresses.drop(entries[piece[0]].queue)
        _raise_if_nothing_happened(given)
        answers: dict[int, Settled] = {}
        for piece, result in zip(pieces, given, strict=True):
            answers.update(_failed(piece, result) if isinstance(result, JobKitError) else result)
        return [answers[place] for place in range(len(entries))]

    def _request(
        self, operation: str, url: str, entries: Sequence[Entry], piece: Sequence[int], refused: Refused, late: float
    ) -> dict[int, Settled]:
        if self._service.clock.steady() > late:
            raise Unavailable(f"{self._service.target.masked}: {operation}: not sent within the timeout")
        answers = {place: answer for place in piece if (answer := entries[place].allowed())}
        asked = [place for place in piece if place not in answers]
        if asked:
            fields = [{"Id": str(place), **entries[place].fields} for place in asked]
            reply = self._service.call(operation, QueueUrl=url, Entries=fields)
            # An entry that the reply does not name has an answer too: nobody knows.
            answers.update(dict.fromkeys(asked, Settled(Answer.UNKNOWN, "the reply does not mention it")))
            answers.update((int(one["Id"]), YES) for one in reply.get("Successful", ()))
            answers.update((int(one["Id"]), refused(one)) for one in reply.get("Failed", ()))
        return answers


def _raise_if_nothing_happened(given: Sequence[object]) -> None:
    """Where not one request may have had an effect, the whole call says why."""
    errors = [one for one in given if isinstance(one, JobKitError) and not isinstance(one, ReplyLost | Rejected)]
    if errors and len(errors) == len(given):
        raise errors[0]


def _failed(piece: Sequence[int], error: JobKitError) -> dict[int, Settled]:
    answer = Answer.FAILED if isinstance(error, Rejected) else Answer.UNKNOWN
    return dict.fromkeys(piece, Settled(answer, str(error)))


def _pieces(entries: Sequence[Entry]) -> Iterator[list[int]]:
    """The places of *entries* in parts of one queue each, none beyond what SQS takes at once."""
    by_queue: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        by_queue.setdefault(entry.queue, []).append(place)
    for places in by_queue.values():
        piece: list[int] = []
        room = MOST_BYTES
        for place in places:
            if len(piece) == MOST_ENTRIES or (piece and entries[place].size > room):
                yield piece
                piece, room = [], MOST_BYTES
            piece.append(place)
            room -= entries[place].size
        yield piece
