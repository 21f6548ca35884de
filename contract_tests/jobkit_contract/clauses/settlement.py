"""STL: how loans end."""

from __future__ import annotations

from jobkit.clock import steady
from jobkit.transport import Again, Answer, Delivery, Done, Message, Settlement
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Level, Plane
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    EARLY,
    GRACE,
    answers_are,
    bodies,
    done,
    expect,
    expect_equal,
    extend,
    ids,
    nothing_comes,
    send,
    settle,
    short_lease,
    take,
    take_one,
    until_lapsed,
)

PROXY = "it comes with the fault proxy"


def renewed(loan: Delivery, body: bytes, delay: float = 0.0) -> Message:
    """What an Again of *loan* may send."""
    return Message(id=loan.message.id, queue=loan.message.queue, body=body, delay=delay)


@CONTRACT.check("STL-1", limit=60)
def what_is_done_stays_away(bench: Bench) -> None:
    """Done messages do not come back, not when their leases would have ended, and not to another holder."""
    transport, other = bench.transport(), bench.transport()
    lease = short_lease(bench, 2.0)
    for size in (1, 11, 30):
        send(transport, *bench.messages(size))
        done(transport, take(bench, transport, size, lease=lease))
    nothing_comes(other, within=until_lapsed(bench, lease) + 0.5, why="everything was done")


@CONTRACT.check("STL-1", needs="single_delivery")
def the_id_of_a_done_job_is_free(bench: Bench) -> None:
    """An id may be sent again once its message is done; it is a new message then."""
    transport = bench.transport()
    message = bench.message("first life")
    send(transport, message)
    done(transport, [take_one(bench, transport)])
    send(transport, Message(id=message.id, queue="jobs", body=b"second life"))
    found = take_one(bench, transport)
    expect_equal((found.message.body, found.receives), (b"second life", 1), "body and receives")


@CONTRACT.check("STL-2")
def settling_twice_answers_lost(bench: Bench) -> None:
    """The second settlement of a loan answers LOST, in a later call and in the same one, and has no effect."""
    transport = bench.transport()
    send(transport, *bench.messages(2))
    first, second = take(bench, transport, 2)
    then = [bench.message("successor 1"), bench.message("successor 2")]
    answers_are(
        transport.settle([Done(first, (then[0],)), Done(first, (then[1],))]), [Answer.YES, Answer.LOST], "Done twice"
    )
    answers_are(transport.settle([Done(first, (then[1],))]), [Answer.LOST], "Done a third time")
    answers_are(transport.extend([first], lease=30.0), [Answer.LOST], "extend after Done")
    answers_are(transport.settle([Done(second)]), [Answer.YES], "Done of the other one")
    answers_are(transport.settle([Again(second, renewed(second, b"back"))]), [Answer.LOST], "Again after Done")
    expect_equal(bodies(take(bench, transport, 1)), [b"successor 1"], "what is left")
    nothing_comes(transport, within=1.0, why="all but one successor has ended")


@CONTRACT.check("STL-2")
def again_twice_answers_lost(bench: Bench) -> None:
    """After Again the old loan is over: a second Again, a Done and an extend answer LOST and leave the new message."""
    transport = bench.transport()
    send(transport, bench.message("old"))
    loan = take_one(bench, transport)
    settle(transport, Again(loan, renewed(loan, b"new")))
    answers_are(transport.settle([Again(loan, renewed(loan, b"newer"))]), [Answer.LOST], "a second Again")
    answers_are(transport.settle([Done(loan)]), [Answer.LOST], "Done after Again")
    answers_are(transport.extend([loan], lease=30.0), [Answer.LOST], "extend after Again")
    expect_equal(bodies(take(bench, transport, 1)), [b"new"], "what is left")
    nothing_comes(transport, within=1.0, why="there is one copy, and it is on loan")


@CONTRACT.check("STL-3", limit=60)
def an_old_loan_of_the_same_holder_is_refused(bench: Bench) -> None:
    """A token belongs to one delivery: the one that the same holder got before is refused for done, again and extend."""
    transport = bench.transport()
    lease = short_lease(bench)
    send(transport, *bench.messages(3))
    old = {loan.message.id: loan for loan in take(bench, transport, 3, lease=lease)}
    new = take(bench, transport, 3, within=lease)
    stale = [old[loan.message.id] for loan in new]
    answers_are(transport.extend(stale, lease=30.0), [Answer.LOST] * 3, "extend with superseded tokens")
    answers_are(transport.settle([Done(loan) for loan in stale]), [Answer.LOST] * 3, "Done with superseded tokens")
    answers = transport.settle([Again(loan, renewed(loan, b"changed")) for loan in stale])
    answers_are(answers, [Answer.LOST] * 3, "Again with superseded tokens")
    extend(transport, *new)
    done(transport, new)
    nothing_comes(transport, within=0.5, why="everything was settled")


@CONTRACT.check("STL-3", limit=60)
def a_superseded_token_does_not_shorten_the_new_loan(bench: Bench) -> None:
    """An extend with a superseded token changes nothing about the loan that replaced it."""
    old, new = bench.transport(), bench.transport()
    lease = short_lease(bench)
    send(old, bench.message("mine"))
    stale = take_one(bench, old, lease=lease)
    held = take_one(bench, new, within=lease)
    answers_are(old.extend([stale], lease=lease), [Answer.LOST], "extend with a superseded token")
    nothing_comes(old, within=until_lapsed(bench, lease), why="the new loan is a long one")
    done(new, [held])


@CONTRACT.check("STL-4", limit=60)
def again_brings_it_back_once_with_its_new_body(bench: Bench) -> None:
    """The message comes back with the new body, under its id, not before its time, and once."""
    transport, other = bench.transport(), bench.transport()
    lease, delay = short_lease(bench, 2.0), min(1.7, bench.capabilities.max_delay)
    send(transport, bench.message("old"))
    loan = take_one(bench, transport, lease=lease)
    begun = steady()
    settle(transport, Again(loan, renewed(loan, b"new", delay)))
    back = take_one(bench, other, within=delay)
    took = steady() - begun
    expect_equal((back.message.id, back.message.body), (loan.message.id, b"new"), "id and body of what came back")
    expect(took >= delay - EARLY, f"it was to come back after {delay} s, and came after {took:.3f} s")
    expect(
        took <= delay + bench.capabilities.lease_slack + GRACE, f"it was to come back after {delay} s, and took {took:.1f}"
    )
    nothing_comes(transport, within=until_lapsed(bench, lease), why="the one copy is on loan")
    done(other, [back])
    nothing_comes(transport, within=1.0, why="the one copy was settled")


@CONTRACT.check("STL-4")
def again_at_once_comes_back_at_once(bench: Bench) -> None:
    """Handing back without a delay makes the message due at once, as often as one likes."""
    transport = bench.transport()
    send(transport, bench.message("0"))
    for turn in range(1, 12):
        loan = take_one(bench, transport)
        expect_equal((loan.message.body, loan.receives), (str(turn - 1).encode(), 1), f"body and receives, turn {turn}")
        settle(transport, Again(loan, renewed(loan, str(turn).encode())))
    done(transport, [take_one(bench, transport)])
    nothing_comes(transport, within=0.5, why="the message was settled")


@CONTRACT.check("STL-5")
def done_sends_its_successors(bench: Bench) -> None:
    """Successors come once each, with their bodies and delays, and their predecessors do not come back."""
    transport, other = bench.transport(), bench.transport()
    delay = min(1.2, bench.capabilities.max_delay)
    send(transport, *bench.messages(11))
    loans = take(bench, transport, 11)
    then = {loan: (bench.message(b"a" + loan.message.body), bench.message(b"b", queue="other")) for loan in loans}
    late = bench.message("late", delay=delay)
    begun = steady()
    settle(transport, *(Done(loan, (*then[loan], late) if loan is loans[0] else then[loan]) for loan in loans))
    expect_equal(len(take(bench, other, 11, queues=["other"])), 11, "successors in the other queue")
    found = take(bench, other, 12, within=delay)
    expect_equal(sorted(ids(found)), sorted([*(pair[0].id for pair in then.values()), late.id]), "successors")
    expect(steady() - begun >= delay - EARLY, f"a successor due after {delay} s came after {steady() - begun:.3f} s")
    nothing_comes(transport, queues=["jobs", "other"], within=1.0, why="everything is on loan or done")


@CONTRACT.check("STL-5", needs="atomic_successors", limit=60)
def a_lost_done_sends_no_successor(bench: Bench) -> None:
    """Done and its successors happen together or not at all: where Done is LOST, nothing is sent."""
    transport = bench.transport()
    lease = short_lease(bench)
    send(transport, *bench.messages(4))
    lost = take(bench, transport, 2, lease=lease)
    bench.sleep(until_lapsed(bench, lease))
    held = take(bench, transport, 2, queues=["jobs"])
    back = take(bench, transport, 2, within=lease)
    answers = transport.settle([Done(loan, (bench.message("successor", queue="other"),)) for loan in [*lost, *held]])
    seen = [answer.answer for answer in answers]
    expect_equal(seen[:2], [Answer.LOST] * 2, "Done of lapsed loans")
    expect_equal(seen[2:], [Answer.YES] * 2, "Done of living loans")
    expect_equal(len(take(bench, transport, 2, queues=["other"])), 2, "successors of the living")
    nothing_comes(transport, queues=["other"], within=1.0, why="a lost Done sends nothing")
    done(transport, back)


@CONTRACT.check("STL-6", limit=60)
def one_bad_settlement_leaves_the_others(bench: Bench) -> None:
    """In one call: Done, Again and settlements of lapsed loans. Each does its own, and unnamed loans stay as they are."""
    transport, other = bench.transport(), bench.transport()
    lease = short_lease(bench)
    send(transport, *bench.messages(14))
    loans = take(bench, transport, 10)
    lapsed = take(bench, transport, 4, lease=lease)
    bench.sleep(until_lapsed(bench, lease))
    batch: list[Settlement] = [
        Done(loans[0]),
        Done(lapsed[0]),
        Again(loans[1], renewed(loans[1], b"again")),
        Done(loans[2]),
        Done(lapsed[1]),
    ]
    promised = [Answer.YES, Answer.LOST, Answer.YES, Answer.YES, Answer.LOST]
    answers_are(transport.settle(batch), promised, "a mixed batch")
    found = sorted(bodies(take(bench, other, 5)))
    expect_equal(found, sorted([b"again", *bodies(lapsed)]), "what is due after a mixed batch")
    nothing_comes(other, within=0.5, why="the other loans live")
    extend(transport, *loans[3:])
    done(transport, loans[3:])


@CONTRACT.check("STL-6")
def settling_one_by_one_leaves_the_rest_of_a_batch(bench: Bench) -> None:
    """Of loans received together each is settled on its own."""
    transport, other = bench.transport(), bench.transport()
    send(transport, *bench.messages(12))
    loans = take(bench, transport, 12)
    bench.random.shuffle(loans)
    for number, loan in enumerate(loans):
        done(transport, [loan])
        nothing_comes(other, why="the rest of the batch is on loan")
        extend(transport, *loans[number + 1 :])
    nothing_comes(other, within=0.5, why="everything was settled")


CONTRACT.later("STL-4", "a_crash_during_again_loses_nothing", PROXY, plane=Plane.TRANSPORT, level=Level.CERTIFIED)
CONTRACT.later("STL-5", "a_crash_during_done_loses_no_successor", PROXY, plane=Plane.TRANSPORT, level=Level.CERTIFIED)
