"""LSE: loans end by themselves, can be prolonged, and whoever lost one learns it."""

from __future__ import annotations

from jobkit.clock import steady
from jobkit.transport import Again, Answer, Delivery, Done, Message
from jobkit_contract.bench import Bench
from jobkit_contract.clause import NotRun
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    EARLY,
    GRACE,
    answers_are,
    bodies,
    depth,
    done,
    expect,
    expect_equal,
    extend,
    nothing_comes,
    receive,
    send,
    settle,
    short_lease,
    take,
    take_one,
    until_lapsed,
)


@CONTRACT.check("LSE-1", limit=60)
def an_abandoned_message_comes_back(bench: Bench) -> None:
    """A message whose holder does nothing comes back when its lease ends: not before, and within the declared slack."""
    holder, other = bench.transport(), bench.transport()
    lease = short_lease(bench, 2.0)
    send(holder, bench.message("abandoned"))
    begun = steady()
    take_one(bench, holder, lease=lease)
    lent = steady()
    back = take_one(bench, other, within=lease)
    expect_equal(bodies([back]), [b"abandoned"], "what came back")
    expect(steady() - begun >= lease - EARLY, f"a lease of {lease} s was over after {steady() - begun:.3f} s")
    late = steady() - lent - lease
    expect(late <= bench.capabilities.lease_slack + GRACE, f"a lapsed lease was noticed {late:.1f} s late")


@CONTRACT.check("LSE-1", needs="shared", limit=90)
def a_killed_holders_messages_come_back(bench: Bench) -> None:
    """All that a process held when it was killed comes back."""
    transport = bench.transport()
    lease = short_lease(bench, 4.0)
    send(transport, *bench.messages(12))
    child = bench.spawn("hold", count=12, lease=lease)
    expect_equal(child.hear(), 12, "messages that the child holds")
    child.kill()
    back = take(bench, transport, 12, within=lease)
    expect_equal(sorted(map(int, bodies(back))), list(range(12)), "what came back")
    expect(all(each.receives >= 2 for each in back), f"receives after a kill: {[each.receives for each in back]}")


@CONTRACT.check("LSE-1", limit=60)
def a_closed_holders_messages_come_back(bench: Bench) -> None:
    """Loans of a transport that was closed lapse by themselves."""
    holder, other = bench.transport(), bench.transport()
    lease = short_lease(bench)
    send(other, *bench.messages(3))
    take(bench, holder, 3, lease=lease)
    holder.close()
    expect_equal(len(take(bench, other, 3, within=lease)), 3, "messages that came back")


@CONTRACT.check("LSE-2", limit=180)
def extending_keeps_a_message_for_ten_leases(bench: Bench) -> None:
    """A loan that is extended in time is nobody else's for more than ten leases, and is then settled as usual."""
    if not any(_keeps(bench.sibling(), short_lease(bench, lease)) for lease in (2.0, 5.0)):
        raise NotRun("this machine was too slow to extend a lease in time")


def _keeps(bench: Bench, lease: float) -> bool:
    """Whether there was anything to judge: a loan that was extended too late may be lost, and says nothing."""
    holder, other = bench.transport(), bench.transport()
    extended = steady()
    send(holder, bench.message("long"))
    loan = take_one(bench, holder, lease=lease)
    end = steady() + 10.5 * lease
    while steady() < end:
        bench.sleep(lease / 6)
        begun = steady()
        answer = holder.extend([loan], lease=lease)[0].answer
        stolen = receive(other)
        if steady() - extended > 0.9 * lease:
            return False
        extended = begun
        expect_equal(answer, Answer.YES, f"extend within {lease} s")
        expect_equal(stolen, [], f"what another holder received while a lease of {lease} s was extended in time")
    done(holder, [loan])
    nothing_comes(other, within=until_lapsed(bench, lease), why="the message was settled")
    return True


@CONTRACT.check("LSE-2", limit=60)
def an_extension_counts_from_now(bench: Bench) -> None:
    """`extend` lets a loan end *lease* seconds from now, longer or shorter than it would have."""
    holder, other = bench.transport(), bench.transport()
    short = short_lease(bench)
    send(holder, *bench.messages(2))
    longer = take(bench, holder, 2, lease=short + GRACE)
    begun = steady()
    extend(holder, longer[0], lease=short + 3 * GRACE)
    extend(holder, longer[1], lease=short)
    back = take_one(bench, other, within=short)
    expect_equal(bodies([back]), bodies(longer[1:]), "the loan that was cut short")
    expect(steady() - begun >= short - EARLY, f"a lease cut to {short} s was over after {steady() - begun:.3f} s")
    extend(holder, longer[0])


def _lapse(bench: Bench) -> tuple[float, Delivery]:
    """A loan that has lapsed, and the holder's clock knows it."""
    holder = bench.transport()
    lease = short_lease(bench)
    loan = take_one(bench, holder, lease=lease)
    bench.sleep(until_lapsed(bench, lease))
    return lease, loan


@CONTRACT.check("LSE-3", limit=60)
def a_lapsed_loan_answers_lost_before_anyone_else_took_it(bench: Bench) -> None:
    """A loan is over when its lease is, even if nobody has taken the message since: extend and settle answer LOST."""
    transport = bench.transport()
    send(transport, bench.message("mine"))
    _, loan = _lapse(bench)
    successor = bench.message("successor")
    again = Message(id=loan.message.id, queue="jobs", body=b"changed")
    answers_are(transport.extend([loan], lease=30.0), [Answer.LOST], "extend of a lapsed loan")
    answers_are(transport.settle([Again(loan, again)]), [Answer.LOST], "Again of a lapsed loan")
    answers_are(transport.settle([Done(loan, (successor,))]), [Answer.LOST], "Done of a lapsed loan")
    back = take_one(bench, transport)
    expect_equal((back.message.body, back.receives), (b"mine", 2), "body and receives of the message that stayed")
    nothing_comes(transport, within=0.5, why="a lost settlement sends nothing")


@CONTRACT.check("LSE-3", limit=60)
def a_lapsed_loan_answers_lost_while_another_holds_it(bench: Bench) -> None:
    """Nor can the old holder disturb the new one."""
    old, new = bench.transport(), bench.transport()
    lease = short_lease(bench)
    send(old, bench.message("mine"))
    lost = take_one(bench, old, lease=lease)
    held = take_one(bench, new, within=lease)
    answers_are(old.extend([lost], lease=30.0), [Answer.LOST], "extend by the old holder")
    changed = Message(id=lost.message.id, queue="jobs", body=b"changed")
    answers_are(old.settle([Again(lost, changed)]), [Answer.LOST], "Again by the old holder")
    answers_are(old.settle([Done(lost, (bench.message("successor"),))]), [Answer.LOST], "Done by the old holder")
    nothing_comes(old, within=0.5, why="the new holder's loan lives")
    extend(new, held)
    done(new, [held])


@CONTRACT.check("LSE-4", limit=90)
def a_frozen_holder_can_not_settle(bench: Bench) -> None:
    """A process that was frozen past its lease, and thawed, is answered LOST for extend and for settle."""
    lease = short_lease(bench, 3.0)
    child = bench.spawn("freeze_and_settle", lease=lease)
    expect_equal(child.hear(), "held", "the child's first word")
    child.freeze()
    bench.sleep(until_lapsed(bench, lease))
    child.thaw()
    child.say("go on")
    answers = child.hear()
    expect_equal(answers, {"extend": "lost", "settle": "lost", "left": 1}, "what a thawed holder was answered")


@CONTRACT.check("LSE-4", needs="shared", limit=90)
def a_frozen_holder_can_not_disturb_its_successor(bench: Bench) -> None:
    """Nor when another process took the message meanwhile: that one settles it."""
    transport = bench.transport()
    lease = short_lease(bench, 3.0)
    child = bench.spawn("freeze_and_settle", lease=lease)
    expect_equal(child.hear(), "held", "the child's first word")
    child.freeze()
    held = take_one(bench, transport, within=lease)
    child.thaw()
    child.say("go on")
    expect_equal(child.hear(), {"extend": "lost", "settle": "lost", "left": 0}, "what a thawed holder was answered")
    extend(transport, held)
    done(transport, [held])
    nothing_comes(transport, within=0.5, why="the message was settled")


@CONTRACT.check("LSE-5", limit=90)
def delays_and_leases_ignore_a_wall_clock_that_jumps(bench: Bench) -> None:
    """In a process whose wall clock jumps by an hour, to and fro, delays and leases last as long as ever."""
    lease, delay = short_lease(bench, 1.5), min(1.5, bench.capabilities.max_delay)
    seen = bench.spawn("jump", wrong_clock=True, lease=lease, delay=delay).hear(within=80)
    for what, least in (("delay", delay), ("lease", lease)):
        late = bench.capabilities.lease_slack + GRACE
        expect(seen[what] >= least - EARLY, f"a {what} of {least} s was over after {seen[what]:.2f} s, as the clock jumped")
        expect(seen[what] <= least + late, f"a {what} of {least} s lasted {seen[what]:.1f} s, as the clock jumped")
    expect_equal((seen["extend"], seen["settle"]), ("yes", "yes"), "extend and settle after the clock had jumped")


@CONTRACT.check("LSE-5", needs="shared", limit=90)
def clocks_an_hour_apart_agree_on_delays_and_leases(bench: Bench) -> None:
    """Sender and receiver whose clocks are an hour apart agree on when a delay and a lease end."""
    transport = bench.transport()
    lease, delay = short_lease(bench, 2.0), min(2.0, bench.capabilities.max_delay)
    for wrong_by in (3600.0, -3600.0):
        child = bench.spawn("send_and_hold", wrong_clock=True, wrong_by=wrong_by, lease=lease, delay=delay)
        # The steady clocks of one host agree, so the child can say when each of its messages is due here.
        due = {name.encode(): when for name, when in child.hear().items()}
        while due:
            loan = take_one(bench, transport, within=lease + delay)
            early = due.pop(loan.message.body) - steady()
            expect(early <= EARLY, f"{loan.message.body!r} came {early:.2f} s early from a clock {wrong_by:+g} s off")
            done(transport, [loan])


@CONTRACT.check("LSE-6", limit=60)
def receives_grows_by_one_each_time(bench: Bench) -> None:
    """1 on first delivery, one more each time a lease has lapsed, whoever receives it."""
    holders = [bench.transport(), bench.transport()]
    lease = short_lease(bench)
    send(holders[0], bench.message("counted"))
    seen = [take_one(bench, holders[turn % 2], lease=lease, within=lease).receives for turn in range(4)]
    expect_equal(seen, [1, 2, 3, 4], "receives, time after time")


@CONTRACT.check("LSE-6", limit=60)
def receives_counts_nothing_but_deliveries(bench: Bench) -> None:
    """Neither looking, nor extending, nor lost settlements, nor vain receives count; Again starts anew."""
    transport, other = bench.transport(), bench.transport()
    lease = short_lease(bench)
    send(transport, bench.message("counted"))
    for _ in range(3):
        depth(other)
    loan = take_one(bench, transport)
    expect_equal(loan.receives, 1, "receives of the first delivery, after looking")
    for _ in range(3):
        extend(transport, loan)
        depth(other)
        receive(other)
    extend(transport, loan, lease=lease)
    second = take_one(bench, other, within=lease)
    expect_equal(second.receives, 2, "receives of the second delivery, after extending and looking")
    settle(other, Again(second, Message(id=second.message.id, queue="jobs", body=b"anew")))
    expect_equal(take_one(bench, other).receives, 1, "receives after Again")
