"""
What a job carries of its failed attempts: enough to see why, and never more than the room that is kept for it.

All limits are bytes of the encoded form, since a character may take six of them there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobkit.envelope import Failure

KEPT = 10

BUDGET = 24 * 1024
"""For all failures together. A dead letter holds them twice, in its record and in the body as it was last delivered, and
`enqueueing.ROOM_FOR_FAILURES` must hold both."""

TRACEBACK = 5 * 1024
MESSAGE = 2 * 1024
SHORT = 300
"""For each text of a failure whose details have gone."""

_ENCODER = msgspec.json.Encoder()


def with_failure(failures: Sequence[Failure], failure: Failure) -> tuple[Failure, ...]:
    """The first one, which tells most, and the latest; the older ones lose their details when there is no room."""
    every = [*failures, failure]
    kept = every if len(every) <= KEPT else [every[0], *every[-(KEPT - 1) :]]
    for index in (*range(1, len(kept) - 1), 0):
        if len(_ENCODER.encode(kept)) <= BUDGET:
            break
        kept[index] = _short(kept[index])
    return tuple(kept)


def fit(text: str, limit: int) -> str:
    """*text* as it can be carried: nothing that is no Unicode, and cut in the middle to *limit* bytes."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if _size(text) <= limit:
        return text
    half = limit // 2
    while True:
        left_out = len(text) - 2 * half
        cut = f"{text[:half]}\n... {left_out} characters left out ...\n{text[-half:]}" if half else ""
        if _size(cut) <= limit:
            return cut
        half = half * 3 // 4


def _short(failure: Failure) -> Failure:
    return msgspec.structs.replace(
        failure,
        error=fit(failure.error, SHORT),
        message=fit(failure.message, SHORT),
        traceback="",
        worker=fit(failure.worker, SHORT),
    )


def _size(text: str) -> int:
    return len(_ENCODER.encode(text)) - 2
