"""
Dead letters: jobs that failed for good, kept with their bytes and every failure until somebody replays or purges them.

A dead letter is its job's record plus one index entry, ordered by time of death. The record decides: an entry that the
record does not name any more is a left-over and is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import msgspec

from jobkit import codec, parking, records
from jobkit.backend import Backend
from jobkit.codec import Undecodable
from jobkit.envelope import Envelope, Failure
from jobkit.errors import ConfigurationError, NotFound
from jobkit.records import DeadEntry, Stored
from jobkit.shield import shielded
from jobkit.store import RECORD_NAME, Key, Write
from jobkit.transport import Answer

PAGE = 200

HEAD_START = timedelta(seconds=5)
"""By so much a replay's entry is dated ahead: a promoter takes over a replay that was cut off, not one under way."""


@attrs.frozen(kw_only=True)
class DeadLetter:
    """
    One dead job, whole.

    Attributes:
        body: The bytes as they were delivered last.
        envelope: What they say; None if they cannot be decoded.
        failures: Each attempt's, the first and the latest ones if there were many.
    """

    id: str
    type: str
    queue: str
    reason: str
    died_at: datetime | None
    worker: str
    attempts: int
    failures: tuple[Failure, ...]
    body: bytes = attrs.field(repr=False)
    envelope: Envelope | None = attrs.field(repr=False)

    @property
    def args(self) -> dict[str, Any]:
        """The arguments by name, as JSON values; empty if the body cannot be decoded."""
        return {} if self.envelope is None else dict(msgspec.json.decode(self.envelope.args))


class DeadLetters:
    """What `JobKit.dead` gives: list, show, replay, purge."""

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._open = backend

    @shielded
    def list(
        self,
        *,
        queue: str | None = None,
        type: str | None = None,  # noqa: A002 - the word that users know
        error: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 100,
    ) -> list[DeadEntry]:
        """
        Summaries in the order of death, the oldest first.

        Args:
            error: Part of the error's class name or of its message.
            since, until: Instants of death; aware.
            limit: None for all of them.
        """
        _check_aware(since, until)
        found: list[DeadEntry] = []
        for _, entry in self._entries(since):
            if until is not None and entry.died_at >= until:
                break
            if _matches(entry, queue, type, error):
                found.append(entry)
            if limit is not None and len(found) >= limit:
                break
        return found

    @shielded
    def count(self, limit: int = 10_000) -> int:
        """How many there are, counted up to *limit*."""
        return self._open().store.count(records.DEAD, limit=limit)

    @shielded
    def show(self, job_id: str) -> DeadLetter:
        """
        Raises:
            NotFound: No dead letter has this id.
        """
        stored = self._find(job_id)
        record, body = stored.record, stored.body or b""
        return DeadLetter(
            id=job_id,
            type=record.type,
            queue=record.queue,
            reason=record.reason,
            died_at=record.ended_at,
            worker=record.worker,
            attempts=record.spent,
            failures=record.failures,
            body=body,
            envelope=_decoded(body),
        )

    @shielded
    def replay(self, ids: Sequence[str]) -> dict[str, str]:
        """
        Send each of these dead letters again, as the next generation of the same job, with all its attempts before it.

        It is parked first, its entry before its record, and then sent, so a crash at any step loses nothing: either the
        dead letter is still there, or a worker's promoter goes on with it.

        Returns what became of each id: "replayed", or why not.
        """
        return {job_id: self._replay(job_id) for job_id in _several(ids)}

    @shielded
    def purge(self, ids: Sequence[str]) -> dict[str, str]:
        """Remove these dead letters for good. Returns what became of each id: "purged", or why not."""
        return {job_id: self._purge(job_id) for job_id in _several(ids)}

    def _replay(self, job_id: str) -> str:
        backend = self._open()
        try:
            stored = self._find(job_id)
        except NotFound:
            return "not found"
        envelope = _decoded(stored.body or b"")
        if envelope is None:
            return "its body cannot be decoded, so it cannot be run"
        now = backend.now()
        revived = envelope.replace(
            generation=stored.record.generation + 1,
            spent=0,
            failures=stored.record.failures,
            tracked=True,
            expires_at=None,
            unknown_since=None,
        )
        body = codec.encode(revived, stored.body)
        record = stored.record.replace(
            state="parked",
            generation=revived.generation,
            spent=0,
            due=now,
            ended_at=None,
            reason="",
            entry=records.instant_name(now + HEAD_START, job_id),
        )
        parked = records.write(job_id, record, body, expect=stored.version)
        records.put(backend.store, [records.due_entry(job_id, record.entry)])
        [written] = records.put(backend.store, [parked])
        if written.answer is not Answer.YES:
            return "somebody else has taken it up"
        records.put(backend.store, [Write(Key(records.DEAD, stored.record.entry), None)])
        parking.promote_jobs(backend, [job_id])
        return "replayed"

    def _purge(self, job_id: str) -> str:
        backend = self._open()
        try:
            stored = self._find(job_id)
        except NotFound:
            return "not found"
        # The end is remembered for a while: a copy that a crash left in the broker must not bring the job back.
        ended = stored.record.replace(state="ended", outcome="purged", entry="", failures=())
        write = records.write(job_id, ended, expect=stored.version, ttl=records.ENDED_TTL)
        [written] = records.put(backend.store, [write])
        if written.answer is not Answer.YES:
            return "somebody else has taken it up"
        records.put(backend.store, [Write(Key(records.DEAD, stored.record.entry), None)])
        return "purged"

    def _find(self, job_id: str) -> Stored:
        [stored] = records.read(self._open().store, [job_id]) if RECORD_NAME.fullmatch(job_id) else [None]
        if stored is None or stored.record.state != "dead":
            raise NotFound(f"no dead letter has the id {job_id!r}")
        return stored

    def _entries(self, since: datetime | None) -> Iterator[tuple[str, DeadEntry]]:
        store = self._open().store
        after = "" if since is None else records.instant_name(since - timedelta(microseconds=1), "~")
        while True:
            page = store.scan(records.DEAD, after=after, limit=PAGE)
            entries = [(name, raw, records.parse_dead(raw)) for name, raw in page]
            found = records.read(store, [entry.id for _, _, entry in entries])
            left_over: list[Write] = []
            for (name, raw, entry), stored in zip(entries, found, strict=True):
                if stored is not None and stored.record.state == "dead" and stored.record.entry == name:
                    yield name, entry
                else:
                    left_over.append(Write(Key(records.DEAD, name), None, raw.version))
            # An entry is only written after the record that names it: these are what a crash left behind, and would count.
            records.put(store, left_over)
            if len(page) < PAGE:
                return
            after = page[-1][0]


def _several(ids: Sequence[str]) -> Sequence[str]:
    if isinstance(ids, str):
        raise ConfigurationError(f"{ids!r}: give a list of ids")
    return ids


def _check_aware(*instants: datetime | None) -> None:
    for instant in instants:
        if instant is not None and instant.utcoffset() is None:
            raise ConfigurationError(f"{instant.isoformat()}: a naive datetime says no instant; give it a time zone")


def _matches(entry: DeadEntry, queue: str | None, type_: str | None, error: str | None) -> bool:
    return (
        (queue is None or entry.queue == queue)
        and (type_ is None or entry.type == type_)
        and (error is None or error in entry.error or error in entry.message)
    )


def _decoded(body: bytes) -> Envelope | None:
    try:
        return codec.decode(body)
    except Undecodable:
        return None
