"""CAP: the manifest tells the truth, about what it promises and about what it does not."""

from __future__ import annotations

from collections.abc import Callable

from jobkit.errors import SetupRequired, Unsupported
from jobkit.store import Key, Write
from jobkit.transport import Again, Answer, Delivery, Done, Settlement
from jobkit_contract.bench import QUEUES, Bench
from jobkit_contract.clause import Plane
from jobkit_contract.clauses.counts import told
from jobkit_contract.clauses.settlement import renewed
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    GRACE,
    answers_are,
    bodies,
    depth,
    expect,
    expect_equal,
    nothing_comes,
    raises,
    receive,
    send,
    short_lease,
    take,
    until_lapsed,
)

FLOORS = {"max_body": 128 * 1024, "max_lease": 60.0, "max_delay": 0.0}
CEILINGS = {"min_lease": 30.0, "wake_latency": 5.0, "lease_slack": 10.0, "prefetch": 1000}
STORE_FLOOR = 128 * 1024
"""Bytes. The core keeps 64 KiB of it for what failures add to a job."""


@CONTRACT.check("CAP-1")
def the_figures_reach_the_floors(bench: Bench) -> None:
    """Limits are no smaller, and latencies no longer, than the core can work with."""
    found = bench.sibling(setup=False).transport().capabilities
    for name, floor in FLOORS.items():
        expect(getattr(found, name) >= floor, f"{name} is {getattr(found, name)}; the core needs {floor}")
    for name, ceiling in CEILINGS.items():
        expect(0 <= getattr(found, name) <= ceiling, f"{name} is {getattr(found, name)}; {ceiling} at most are allowed")
    expect(found.min_lease <= found.max_lease, f"min_lease {found.min_lease} is beyond max_lease {found.max_lease}")
    expect(found.fence in ("broker", "local"), f"fence is {found.fence!r}")
    expect(found.name, "the name is empty")


@CONTRACT.check("CAP-1")
def the_manifest_is_constant(bench: Bench) -> None:
    """Every handle tells the same, before and after use."""
    first, second = bench.transport(), bench.transport()
    before = first.capabilities
    send(first, bench.message("used"))
    take(bench, first, 1)
    expect_equal(first.capabilities, before, "capabilities after use")
    expect_equal(second.capabilities, before, "capabilities of another handle")


@CONTRACT.check("CAP-1", plane=Plane.STORE)
def the_stores_figures_reach_the_floors(bench: Bench) -> None:
    """The same for a store."""
    found = bench.sibling(setup=False).store().capabilities
    expect(found.max_value >= STORE_FLOOR, f"max_value is {found.max_value}; the core needs {STORE_FLOOR}")
    expect(0 <= found.count_lag <= 14 * 86400, f"count_lag is {found.count_lag}")
    expect(found.name, "the name is empty")
    expect_equal(bench.store().capabilities, found, "capabilities of another handle")


@CONTRACT.check("CAP-1")
def what_was_prefetched_is_no_more_than_declared(bench: Bench) -> None:
    """A receiver that asked for one message keeps no more than `prefetch` others from the rest."""
    greedy, other = bench.transport(), bench.transport()
    total = 12 + bench.capabilities.prefetch
    send(greedy, *bench.messages(total))
    expect_equal(len(take(bench, greedy, 1)), 1, "what the first receiver took")
    take(bench, other, total - 1 - bench.capabilities.prefetch)


@CONTRACT.check("CAP-2", refuses="transactional")
def undeclared_transactions_are_refused(bench: Bench) -> None:
    """There is no `statements`, or it raises Unsupported before any I/O."""
    transport = bench.sibling(setup=False).transport()
    statements = getattr(transport, "statements", None)
    if statements is not None:
        raises(Unsupported, lambda: statements([bench.message()], [], []), "statements, which the manifest denies")


@CONTRACT.check("CAP-2", refuses="store.transactional", plane=Plane.STORE)
def undeclared_transactions_of_the_store_are_refused(bench: Bench) -> None:
    """The same for a store."""
    handle = bench.sibling(setup=False).store_statements()
    if handle is not None:
        write = Write(Key("things", "one"), b"value")
        raises(Unsupported, lambda: handle.statements([], [], [write]), "statements, which the manifest denies")


@CONTRACT.check("CAP-2", refuses="shared", limit=60)
def what_is_not_shared_is_not_seen_by_another_process(bench: Bench) -> None:
    """Another process sees no message; if it did, the manifest would deny what works."""
    send(bench.transport(), *bench.messages(3))
    expect_equal(bench.spawn("look").hear(), 0, "messages that another process sees, although `shared` is not declared")


@CONTRACT.check("CAP-2", refuses="store.shared", plane=Plane.STORE, limit=60)
def records_that_are_not_shared_are_not_seen_by_another_process(bench: Bench) -> None:
    """The same for records."""
    bench.store().put([Write(Key("things", "one"), b"value")])
    seen = bench.spawn("read", collection="things").hear()
    expect_equal(seen, 0, "records that another process sees, although `shared` is not declared")


@CONTRACT.check("CAP-2", refuses="single_delivery")
def copies_are_made_where_single_delivery_is_not_declared(bench: Bench) -> None:
    """A living id that is sent again is there twice; were it once, `single_delivery` could be declared."""
    message = bench.message("twice")
    transport = bench.transport()
    send(transport, message)
    send(transport, message)
    expect_equal(bodies(take(bench, transport, 2)), [b"twice", b"twice"], "copies")


@CONTRACT.check("CAP-2", refuses="atomic_successors", limit=60)
def nothing_is_lost_where_successors_are_not_atomic(bench: Bench) -> None:
    """The floor: Done of a lapsed loan may have sent successors by mistake, but the message itself comes back."""
    _comes_back(bench, lambda loan: Done(loan, (bench.message("successor", queue="other"),)))


@CONTRACT.check("CAP-2", refuses="atomic_again", limit=60)
def nothing_is_lost_where_again_is_not_atomic(bench: Bench) -> None:
    """The floor: Again of a lapsed loan may have left a copy, but the message is there at least once."""
    _comes_back(bench, lambda loan: Again(loan, renewed(loan, loan.message.body)))


def _comes_back(bench: Bench, settlement: Callable[[Delivery], Settlement]) -> None:
    transport = bench.transport()
    lease = short_lease(bench)
    send(transport, bench.message("kept"))
    loan = take(bench, transport, 1, lease=lease)[0]
    bench.sleep(until_lapsed(bench, lease))
    answers_are(transport.settle([settlement(loan)]), [Answer.LOST], "a settlement of a lapsed loan")
    expect_equal(bodies(take(bench, transport, 1, within=lease)), [b"kept"], "what came back")


@CONTRACT.check("CAP-2", refuses="exact_counts", limit=90)
def approximate_counts_come_near(bench: Bench) -> None:
    """Figures that are not exact are absent, or come near the truth soon: never a 0 beside messages for long."""
    transport = bench.transport()
    send(transport, *bench.messages(20))
    for _ in range(60):
        figures = told(depth(transport))
        if not figures or 10 <= sum(figures) <= 40:
            return
        bench.sleep(1.0)
    expect(False, f"20 messages were sent a minute ago, and depth says {figures}")


@CONTRACT.check("CAP-2", refuses="knows_age")
def an_unknown_age_is_absent(bench: Bench) -> None:
    """An age that the broker can not tell is None, never 0."""
    transport = bench.transport()
    send(transport, bench.message("old"))
    bench.sleep(0.5)
    expect_equal(depth(transport).oldest_age, None, "an age that is not declared")


@CONTRACT.check("CAP-2", refuses="native_delay")
def a_delay_is_refused_where_none_is_declared(bench: Bench) -> None:
    """With a `max_delay` of 0, any delay raises ValueError, and the core parks the job."""
    transport = bench.transport()
    raises(ValueError, lambda: transport.send([bench.message(delay=0.5)]), "a delay")
    nothing_comes(transport, within=1.0, why="the send was refused")


@CONTRACT.check("CAP-3", limit=60)
def setup_may_run_again(bench: Bench) -> None:
    """A second setup changes nothing, says so, and leaves what is stored."""
    transport = bench.transport()
    send(transport, bench.message("kept"))
    expect_equal(list(bench.place.setup(QUEUES)), [], "changes that a second setup reports")
    expect_equal(bodies(take(bench, bench.transport(), 1)), [b"kept"], "what was sent before the second setup")


@CONTRACT.check("CAP-3", limit=60)
def several_setups_at_once_are_one(bench: Bench) -> None:
    """Several processes that deploy at once run setup at once, and none fails."""
    fresh = bench.sibling(setup=False)
    for future in [bench.start(lambda: fresh.place.setup(QUEUES)) for _ in range(4)]:
        future.result(timeout=50)
    send(fresh.transport(), fresh.message("works"))
    expect_equal(bodies(take(fresh, fresh.transport(), 1)), [b"works"], "what was sent after setup")


@CONTRACT.check("CAP-3")
def without_setup_calls_say_what_is_missing(bench: Bench) -> None:
    """Where nothing was set up, a send raises SetupRequired, or it sets up what it needs; it never vanishes."""
    bare = bench.sibling(setup=False)
    transport = bare.transport()
    try:
        send(transport, bare.message("bare"))
    except SetupRequired:
        bare.place.setup(QUEUES)
        send(transport, bare.message("bare"))
    found = receive(bare.transport(), wait=GRACE)
    expect_equal(bodies(found), [b"bare"], "what was sent once setup had run")


@CONTRACT.check("CAP-3", limit=60)
def teardown_leaves_nothing(bench: Bench) -> None:
    """After teardown and a new setup the namespace is empty; tearing down twice, or nothing, is harmless."""
    fresh = bench.sibling()
    send(fresh.transport(), *fresh.messages(3))
    fresh.teardown()
    fresh.teardown()
    fresh.place.setup(QUEUES)
    nothing_comes(fresh.transport(), within=0.5, why="the namespace was torn down")


@CONTRACT.check("CAP-3", plane=Plane.STORE, limit=60)
def teardown_leaves_no_record(bench: Bench) -> None:
    """The same for records."""
    fresh = bench.sibling()
    fresh.store().put([Write(Key("things", "one"), b"value")])
    fresh.teardown()
    fresh.place.setup(QUEUES)
    expect_equal(fresh.store().get([Key("things", "one")]), [None], "what the namespace holds after teardown")
