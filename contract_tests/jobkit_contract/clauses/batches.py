"""SND-7: one outcome per message, in order, whatever the batch's size."""

from __future__ import annotations

from jobkit.transport import Again, Answer, Done, Message
from jobkit_contract.bench import Bench
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import answers_are, bodies, done, expect, expect_equal, ids, nothing_comes, receive, send, take

SIZES = (1, 2, 9, 10, 11, 12, 25, 101)
"""Around the limits of brokers that take ten at a time, and beyond a hundred."""


@CONTRACT.check("SND-7")
def every_size_of_batch_arrives_whole(bench: Bench) -> None:
    """Batches of 1 to 101 messages are answered one by one, and each arrives with its own body, to be received at once."""
    sender, receiver = bench.transport(), bench.transport()
    for size in SIZES:
        batch = bench.messages(size)
        answers = sender.send(batch)
        expect_equal(len(answers), size, f"answers to a batch of {size}")
        answers_are(answers, [Answer.YES] * size, f"answers to a batch of {size}")
        found = take(bench, receiver, size)
        seen = {delivery.message.id: delivery.message.body for delivery in found}
        expect_equal(seen, {message.id: message.body for message in batch}, f"bodies by id of a batch of {size}")
        done(receiver, found)
    nothing_comes(receiver, within=0.5, why="everything was settled")


@CONTRACT.check("SND-7")
def what_was_answered_outlives_its_sender(bench: Bench) -> None:
    """A sender that closes as soon as it was answered has lost nothing."""
    receiver = bench.transport()
    for round_ in range(10):
        sender = bench.transport()
        batch = bench.messages(7)
        send(sender, *batch)
        sender.close()
        found = take(bench, receiver, 7)
        expect_equal(sorted(ids(found)), sorted(ids(batch)), f"what a closed sender had sent, round {round_}")
        done(receiver, found)


@CONTRACT.check("SND-7")
def a_limit_is_kept(bench: Bench) -> None:
    """A receive hands out at most `limit`, also beyond a hundred, and loses none of the rest."""
    transport = bench.transport()
    send(transport, *bench.messages(130))
    taken = []
    for limit in (1, 3, 10, 11):
        found = receive(transport, limit=limit)
        expect(len(found) <= limit, f"a receive with limit {limit} gave {len(found)}")
        taken += found
    taken += take(bench, transport, 130 - len(taken), limit=105)
    expect_equal(sorted(bodies(taken)), sorted(str(number).encode() for number in range(130)), "all bodies")


@CONTRACT.check("SND-7")
def every_settlement_has_its_own_answer(bench: Bench) -> None:
    """Of 23 settlements in one call, those of ended loans answer LOST, at their own places, and the others YES."""
    transport = bench.transport()
    send(transport, *bench.messages(23))
    loans = take(bench, transport, 23)
    ended = {2, 10, 11, 22}
    done(transport, [loans[number] for number in sorted(ended)])
    promised = [Answer.LOST if number in ended else Answer.YES for number in range(23)]
    answers_are(transport.extend(loans, lease=60.0), promised, "answers to extend")
    answers_are(transport.settle([Done(loan) for loan in loans]), promised, "answers to settle")
    nothing_comes(transport, within=0.5, why="everything was settled")


@CONTRACT.check("SND-7")
def a_batch_of_replacements_mixes_nothing_up(bench: Bench) -> None:
    """Again for 23 messages in one call gives each its own new body."""
    transport = bench.transport()
    send(transport, *bench.messages(23))
    loans = take(bench, transport, 23)
    news = [Message(id=loan.message.id, queue="jobs", body=b"new " + loan.message.body) for loan in loans]
    answers = transport.settle([Again(loan, new) for loan, new in zip(loans, news, strict=True)])
    answers_are(answers, [Answer.YES] * 23, "answers to 23 Again")
    seen = {delivery.message.id: delivery.message.body for delivery in take(bench, transport, 23)}
    expect_equal(seen, {message.id: message.body for message in news}, "bodies by id after Again")
