"""Enqueueing: what is true after the broker has refused, was away, or left its answer open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from jobkit import JobKit, Rejected, Unavailable, Uncertain, records
from jobkit.testing import TestBench
from jobkit.transport import Answer, Message, Sent

jobs = JobKit()
ran: list[int] = []


@jobs.handler(track=True)
def tracked(value: int) -> None:
    ran.append(value)


@jobs.handler
def plain(value: int) -> None:
    ran.append(value)


class Broker:
    """Stands before the bench's transport and answers by a script, one word per send; then it lets all through."""

    def __init__(self, transport: Any) -> None:
        self._send = transport.send
        self.script: list[str] = []
        self.sends: list[list[str]] = []

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        self.sends.append([message.id for message in messages])
        match self.script.pop(0) if self.script else "pass":
            case "away":
                raise Unavailable("away")
            case "refuse":
                return [Sent(Answer.FAILED, "no room"), *self._send(messages[1:])]
            case "kept, reply lost":
                self._send(messages)
                return [Sent(Answer.UNKNOWN) for _ in messages]
            case "reply lost":
                return [Sent(Answer.UNKNOWN) for _ in messages]
            case _:
                return list(self._send(messages))


@pytest.fixture
def bench() -> Iterator[TestBench]:
    ran.clear()
    with jobs.test() as bench:
        yield bench


@pytest.fixture
def broker(bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker(jobs.backend.transport)
    monkeypatch.setattr(jobs.backend.transport, "send", broker.send)
    return broker


def has_record(job_id: str) -> bool:
    return records.read(jobs.backend.store, [job_id]) != [None]


def test_a_broker_that_is_away_leaves_nothing_behind_and_the_job_can_be_enqueued_again(
    bench: TestBench, broker: Broker
) -> None:
    job = tracked.new(1)
    broker.script = ["away"]
    with pytest.raises(Unavailable):
        job.enqueue()
    assert not has_record(job.id)
    job.enqueue()
    bench.run()
    assert ran == [1]


def test_enqueueing_again_what_ran_already_neither_runs_it_nor_forgets_it(bench: TestBench, broker: Broker) -> None:
    job = tracked.new(1)
    job.enqueue()
    bench.run()
    job.enqueue()
    bench.run()
    broker.script = ["away"]
    with pytest.raises(Unavailable):
        job.enqueue()
    assert jobs.status(job.id).outcome == "done"
    assert ran == [1]


def test_what_the_broker_refuses_is_named_and_the_others_are_stored(bench: TestBench, broker: Broker) -> None:
    items = [tracked.new(number) for number in range(3)]
    broker.script = ["refuse"]
    with pytest.raises(Rejected, match=f"1 of 3 jobs were refused by the broker: {items[0].id}: no room"):
        jobs.enqueue_many(items)
    assert [has_record(item.id) for item in items] == [False, True, True]
    bench.run()
    assert ran == [1, 2]


@pytest.mark.parametrize("how", ["kept, reply lost", "reply lost"])
@pytest.mark.parametrize("handler", [plain, tracked], ids=["plain", "tracked"])
def test_where_the_reply_is_lost_the_same_ids_are_sent_again(
    bench: TestBench, broker: Broker, how: str, handler: Any
) -> None:
    broker.script = [how]
    jobs.enqueue_many([handler.new(number) for number in range(3)])
    assert broker.sends[0] == broker.sends[1]
    bench.run()
    assert ran == [0, 1, 2]


def test_replies_lost_again_and_again_leave_it_open_and_name_the_jobs(bench: TestBench, broker: Broker) -> None:
    job = tracked.new(1)
    broker.script = ["kept, reply lost", "away", "reply lost", "away"]
    with pytest.raises(Uncertain, match="1 jobs may or may not be stored") as caught:
        job.enqueue()
    assert caught.value.ids == (job.id,)
    assert has_record(job.id)
    broker.script.clear()
    job.enqueue()
    bench.run()
    assert ran == [1]


def test_plain_jobs_do_not_touch_the_store(bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("get", "put", "scan", "now"):
        monkeypatch.setattr(jobs.backend.store, name, None)
    plain.enqueue(1)
    plain.using(delay=60).enqueue(2)
    jobs.enqueue_many([plain.new(3)])
