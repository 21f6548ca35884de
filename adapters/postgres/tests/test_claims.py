"""What several receivers, settlers and transactions do to each other on one table."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from jobkit.transport import Again, Answer, Delivery, Done, Message, Settlement
from jobkit.url import Url
from jobkit_postgres import adapter
from jobkit_postgres.transport import PostgresTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


def together(count: int, work: Callable[[int], None]) -> None:
    """Run *work* in *count* threads; an error in one fails the test."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_no_receiver_gets_more_than_it_asked_for_nor_what_another_one_holds(
    transport: PostgresTransport, message: Make, take: Take
) -> None:
    transport.send([message(f"m{number}") for number in range(2000)])
    seen: list[str] = []
    sizes: list[int] = []

    def receive(_: int) -> None:
        while deliveries := take(transport, limit=7):
            sizes.append(len(deliveries))
            seen.extend(delivery.message.id for delivery in deliveries)
            # Moving rows while others look for theirs: a place found must still be right once it is locked.
            for settled in transport.extend(deliveries, lease=60):
                assert settled.answer is Answer.YES
            transport.settle([Done(delivery) for delivery in deliveries[:3]])

    together(8, receive)
    assert max(sizes) <= 7
    assert Counter(Counter(seen).values()) == {1: 2000}


def test_extending_and_settling_the_same_loans_at_once_loses_neither(
    transport: PostgresTransport, message: Make, take: Take
) -> None:
    for _ in range(20):
        transport.send([message(f"m{number}") for number in range(50)])
        deliveries = take(transport, limit=50)
        answers: list[Answer] = []

        def either(number: int, deliveries: list[Delivery] = deliveries, answers: list[Answer] = answers) -> None:
            if number:
                transport.extend(deliveries, lease=60)
                return
            pending = deliveries
            while pending:
                settled = transport.settle([Done(delivery) for delivery in pending])
                answers.extend(one.answer for one in settled if one.answer is not Answer.UNKNOWN)
                pending = [item for item, one in zip(pending, settled, strict=True) if one.answer is Answer.UNKNOWN]

        together(3, either)
        assert answers == [Answer.YES] * 50
        assert transport.depth(["q"])[0].leased == 0


def test_senders_of_the_same_messages_in_opposite_order_succeed(transport: PostgresTransport, message: Make) -> None:
    for batch in range(20):
        names = [f"{batch}-{number}" for number in range(100)]

        def send(number: int, names: list[str] = names) -> None:
            order = names if number % 2 else names[::-1]
            assert {sent.answer for sent in transport.send([message(name) for name in order])} == {Answer.YES}

        together(4, send)
    assert transport.depth(["q"])[0].ready == 2000


def test_a_batch_comes_out_in_the_order_in_which_it_went_in(transport: PostgresTransport, message: Make, take: Take) -> None:
    names = ["z", "m", "a", "k", "b"]
    transport.send([message(name) for name in names])
    transport.send([message("c")])
    assert [delivery.message.id for delivery in take(transport, limit=3)] == names[:3]
    assert [delivery.message.id for delivery in take(transport)] == [*names[3:], "c"]


def test_queues_are_served_in_the_order_given(transport: PostgresTransport, message: Make, take: Take) -> None:
    transport.send([message(f"{queue}{number}", queue=queue) for queue in ("low", "high") for number in range(3)])
    found = [delivery.message.id for delivery in take(transport, "high", "none", "low", limit=5)]
    assert found == ["high0", "high1", "high2", "low0", "low1"]


def test_of_two_settlements_of_one_loan_in_a_batch_the_first_one_counts(
    transport: PostgresTransport, message: Make, take: Take
) -> None:
    transport.send([message("a"), message("b")])
    a, b = take(transport)
    batch: list[Settlement] = [Done(a), Again(a, message("a", b"new")), Again(b, message("b", b"new")), Done(b)]
    answers = [settled.answer for settled in transport.settle(batch)]
    assert answers == [Answer.YES, Answer.LOST, Answer.YES, Answer.LOST]
    assert [delivery.message.body for delivery in take(transport)] == [b"new"]


def test_a_job_may_be_its_own_successor(transport: PostgresTransport, message: Make, take: Take) -> None:
    transport.send([message("a")])
    (first,) = take(transport)
    assert transport.settle([Done(first, (message("a", b"second"),))])[0].answer is Answer.YES
    (second,) = take(transport)
    assert (second.message.body, second.receives) == (b"second", 1)


def test_a_job_that_an_open_transaction_settles_holds_up_no_other(
    transport: PostgresTransport, message: Make, take: Take, sql: Any
) -> None:
    transport.send([message("a"), message("b")])
    a, b = take(transport)
    (statement,) = transport.statements([], [Done(a)], [])
    sql.run("begin")
    sql.run(f"{statement.before}:json{statement.after}", json=statement.parameter)
    assert [one.answer for one in transport.extend([a, b], lease=60)] == [Answer.UNKNOWN, Answer.YES]
    assert [one.answer for one in transport.settle([Done(a), Done(b)])] == [Answer.UNKNOWN, Answer.YES]
    assert transport.purge("q") == 0
    sql.run("commit")
    assert [one.answer for one in transport.settle([Done(a)])] == [Answer.LOST]


def test_a_token_of_another_delivery_changes_nothing(transport: PostgresTransport, message: Make, take: Take) -> None:
    transport.send([message("a")])
    (stale,) = take(transport, lease=0.05)
    (current,) = take(transport, wait=5)
    assert current.receives == 2
    for settlement in (Done(stale, (message("then"),)), Again(stale, message("a", b"new"))):
        assert transport.settle([settlement])[0].answer is Answer.LOST
    assert transport.extend([stale], lease=60)[0].answer is Answer.LOST
    assert transport.settle([Done(current)])[0].answer is Answer.YES
    assert transport.depth([]) == []


def test_one_answer_carries_no_more_than_memory_bears(transport: PostgresTransport, message: Make, take: Take) -> None:
    largest = transport.capabilities.max_body
    transport.send([message(f"m{number}", bytes(largest)) for number in range(4)])
    first = take(transport, limit=4)
    assert [len(delivery.message.body) for delivery in first] == [largest] * 2
    assert len(take(transport, limit=4)) == 2


def test_a_batch_beyond_one_parameter_is_sent_whole(
    transport: PostgresTransport, message: Make, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_postgres.pieces.MOST_TEXT", 500)
    transport.send([message(f"m{number}", bytes(100)) for number in range(40)])
    deliveries = take(transport, limit=40)
    assert [delivery.message.id for delivery in deliveries] == [f"m{number}" for number in range(40)]
    assert {one.answer for one in transport.settle([Done(delivery) for delivery in deliveries])} == {Answer.YES}


def test_an_id_that_can_not_be_stored_fails_alone(transport: PostgresTransport, message: Make) -> None:
    answers = transport.send([message("good"), message("nul\0"), message("x" * 513), message("\ud800"), message("é" * 512)])
    words = [Answer.YES, Answer.FAILED, Answer.FAILED, Answer.FAILED, Answer.YES]
    assert [sent.answer for sent in answers] == words
    assert all("message id" in sent.reason for sent in answers[1:4])


def test_purge_leaves_what_is_on_loan_and_other_queues(transport: PostgresTransport, message: Make, take: Take) -> None:
    transport.send([message("lent")])
    (lent,) = take(transport)
    transport.send([message("a"), message("b", delay=60), message("c", queue="q2")])
    assert transport.purge("q") == 2
    assert [(depth.queue, depth.ready, depth.delayed, depth.leased) for depth in transport.depth([])] == [
        ("q", 0, 0, 1),
        ("q2", 1, 0, 0),
    ]
    assert transport.settle([Done(lent)])[0].answer is Answer.YES


def test_a_purge_larger_than_one_bite_goes_on_to_the_end(
    transport: PostgresTransport, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobkit_postgres.transport.PURGE_AT_ONCE", 10)
    transport.send([message(f"m{number}") for number in range(35)])
    assert transport.purge("q") == 35


def test_what_is_not_safe_by_default_is_made_so_for_jobkits_own_connections(url: Url, sql: Any, namespace: str) -> None:
    """A role may come with settings under which an answer would promise less."""
    role = f"{namespace}_role"
    sql.run(f"create role {role} login superuser")
    try:
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'repeatable read'"):
            sql.run(f"alter role {role} set {setting}")
        with closing(adapter.transport(url)) as transport:
            import attrs

            with closing(adapter.transport(attrs.evolve(url, username=role))) as other:
                names = "'synchronous_commit', 'default_transaction_isolation'"
                asked = f"select name, setting from pg_settings where name in ({names}) order by name"
                expected = [["default_transaction_isolation", "read committed"], ["synchronous_commit", "on"]]
                assert other._pool.run(asked) == expected
            assert transport.depth([]) == []
    finally:
        sql.run(f"drop role {role}")
