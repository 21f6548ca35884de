"""DLY: what is due later."""

from __future__ import annotations

from jobkit.clock import steady
from jobkit.transport import Again
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.clauses.settlement import renewed
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    EARLY,
    GRACE,
    bodies,
    done,
    expect,
    expect_equal,
    nothing_comes,
    receive,
    send,
    settle,
    short_lease,
    take,
    take_one,
    until_lapsed,
)

DELAYS = (0.0, 0.3, 0.75, 1.2, 1.7, 2.4, 3.9)


@CONTRACT.check("DLY-1", needs="native_delay", limit=60)
def nothing_comes_before_its_time(bench: Bench) -> None:
    """Each message comes after its own delay, fractions of a second included, and within the declared slack."""
    sender, receiver = bench.transport(), bench.transport()
    batch = [bench.message(str(delay), delay=min(delay, bench.capabilities.max_delay)) for delay in DELAYS]
    due = {message.id: message.delay for message in batch}
    bench.random.shuffle(batch)
    begun = steady()
    send(sender, *batch)
    sent = steady()
    while due:
        loan = take_one(bench, receiver, within=max(DELAYS))
        delay = due.pop(loan.message.id)
        now = steady()
        expect(now - begun >= delay - EARLY, f"a delay of {delay} s was over after {now - begun:.3f} s")
        late = now - sent - delay
        expect(late <= bench.capabilities.lease_slack + GRACE, f"a delay of {delay} s was over {late:.1f} s late")


@CONTRACT.check("DLY-1", needs="native_delay")
def the_longest_delay_is_kept(bench: Bench) -> None:
    """A delay of `max_delay` is accepted, and does not come out short."""
    transport = bench.transport()
    send(transport, bench.message("one day", delay=bench.capabilities.max_delay))
    if bench.capabilities.max_delay > GRACE:
        nothing_comes(transport, within=3.0, why=f"it is due in {bench.capabilities.max_delay:g} s")
    else:
        take_one(bench, transport, within=bench.capabilities.max_delay)


@CONTRACT.check("DLY-1", needs="native_delay", limit=60)
def again_and_successors_keep_their_delays(bench: Bench) -> None:
    """An Again that is delayed twice over comes in its time."""
    transport = bench.transport()
    delay = min(0.9, bench.capabilities.max_delay)
    send(transport, bench.message("0"))
    for turn in range(3):
        loan = take_one(bench, transport, within=delay)
        begun = steady()
        settle(transport, Again(loan, renewed(loan, b"x", delay)))
        again = take_one(bench, transport, within=delay)
        took = steady() - begun
        expect(took >= delay - EARLY, f"an Again after {delay} s came after {took:.3f} s, turn {turn}")
        settle(transport, Again(again, renewed(again, b"y")))


@CONTRACT.check("DLY-3", needs="native_delay", limit=60)
def a_delay_longer_than_the_lease_does_not_duplicate(bench: Bench) -> None:
    """A delay lasts several times the receivers' lease: the message comes once, and as its first delivery."""
    transport, other = bench.transport(), bench.transport()
    lease = short_lease(bench)
    delay = min(3.5 * lease, bench.capabilities.max_delay)
    begun = steady()
    send(transport, bench.message("later", delay=delay))
    while steady() < begun + delay - 0.3:
        found = receive(other, wait=0.2, lease=lease)
        expect(steady() >= begun + delay - EARLY or not found, f"it came {begun + delay - steady():.1f} s early")
        if found:
            break
    else:
        found = take(bench, other, 1, within=1.0)
    expect_equal([each.receives for each in found], [1], "receives of the delayed message")
    done(other, found)
    nothing_comes(transport, within=until_lapsed(bench, lease), why="the one copy was settled")


@CONTRACT.check("DLY-3", needs="native_delay", limit=60)
def a_short_delay_does_not_wait_behind_a_long_one(bench: Bench) -> None:
    """What is due first comes first, whatever was sent before it with a longer delay, in any number."""
    transport = bench.transport()
    long, short = min(600.0, bench.capabilities.max_delay), min(0.8, bench.capabilities.max_delay / 4)
    send(transport, *bench.messages(120, delay=long))
    begun = steady()
    send(transport, bench.message("short", delay=short), bench.message("now"))
    seen = {}
    for _ in range(2):
        loan = take_one(bench, transport, within=short)
        seen[loan.message.body] = steady() - begun
    expect_equal(set(seen), {b"now", b"short"}, "what is due")
    took = seen[b"short"]
    expect(took >= short - EARLY, f"a delay of {short} s was over after {took:.2f} s")
    expect(
        took <= short + bench.capabilities.lease_slack + GRACE, f"a delay of {short} s took {took:.1f} s behind long ones"
    )


@CONTRACT.check("DLY-3", needs="native_delay", limit=60)
def a_delayed_message_holds_up_nothing(bench: Bench) -> None:
    """Delayed messages take no place in a receive: what is ready behind them comes in full."""
    transport = bench.transport()
    delay = min(600.0, bench.capabilities.max_delay)
    for number in range(10):
        send(transport, bench.message("later", delay=delay), bench.message(str(number)))
    found = receive(transport, limit=10) if delay > GRACE else take(bench, transport, 10)
    expect_equal(sorted(bodies(found)), sorted(str(number).encode() for number in range(10)), "what is ready")


CONTRACT.later("DLY-4", "delays_survive_a_restart", "it comes with the broker's restart", plane=Plane.TRANSPORT)
