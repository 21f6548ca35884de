"""SND-6 and STO-6: jobs and records inside the caller's own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from jobkit import connections
from jobkit.clock import steady
from jobkit.store import Expect, Key, Write
from jobkit.transactional import Transactional
from jobkit.transport import Again, Done, Message, Settlement, Transport
from jobkit_contract.bench import Bench
from jobkit_contract.clause import Plane
from jobkit_contract.clauses.settlement import renewed
from jobkit_contract.registry import CONTRACT
from jobkit_contract.steps import (
    EARLY,
    bodies,
    depth,
    done,
    expect,
    expect_equal,
    extend,
    ids,
    nothing_comes,
    send,
    short_lease,
    take,
    take_one,
    until_lapsed,
)


def _execute(
    connection: Any,
    handle: Any,
    sends: Sequence[Message] = (),
    settlements: Sequence[Settlement] = (),
    writes: Sequence[Write] = (),
) -> list[str]:
    """The answers, as their words, of a call inside the transaction of *connection*; *handle* is `Transactional`."""
    statements = handle.statements(sends, settlements, writes)
    return [answer.answer.value for answer in connections.execute(connection, statements)]


def _seen(transport: Transport) -> int:
    """How many messages others can see. Only looking: a receive might have to wait for the open transaction."""
    found = depth(transport)
    return (found.ready or 0) + (found.delayed or 0) + (found.leased or 0)


@CONTRACT.check("SND-6", needs="transactional exact_counts", limit=60)
def a_send_commits_with_the_callers_transaction(bench: Bench) -> None:
    """Invisible before the commit, and there after it, whole and byte for byte, for every kind of connection."""
    transport = bench.transport()
    for kind in bench.kinds_of_connection():
        batch = [*bench.messages(24), bench.message(bytes(range(256))), bench.message(b"\0% :name ? $1 \xff")]
        with bench.connection(kind) as connection:
            expect_equal(_execute(connection, transport, batch), ["yes"] * 26, f"answers through {kind}")
            expect_equal(_seen(transport), 0, f"messages that others see before the commit through {kind}")
            connection.commit()
        found = take(bench, transport, 26)
        seen = {delivery.message.id: delivery.message.body for delivery in found}
        expect_equal(seen, {message.id: message.body for message in batch}, f"bodies by id, sent through {kind}")
        done(transport, found)


@CONTRACT.check("SND-6", needs="transactional", limit=60)
def a_send_rolls_back_with_the_callers_transaction(bench: Bench) -> None:
    """After a rollback, and after a connection that was closed without a word, nothing was sent."""
    transport = bench.transport()
    for kind in bench.kinds_of_connection():
        with bench.connection(kind) as connection:
            _execute(connection, transport, bench.messages(3))
            connection.rollback()
        with bench.connection(kind) as connection:
            _execute(connection, transport, bench.messages(3))
        nothing_comes(transport, within=0.5, why=f"the transaction through {kind} was rolled back")


@CONTRACT.check("SND-6", needs="transactional native_delay", limit=60)
def a_delay_is_kept_in_a_transaction(bench: Bench) -> None:
    """A message that is sent with a delay in a transaction comes no earlier than that; repeating an id is harmless."""
    transport = bench.transport()
    for kind in bench.kinds_of_connection():
        message = bench.message("later", delay=min(2.0, bench.capabilities.max_delay))
        begun = steady()
        with bench.connection(kind) as connection:
            _execute(connection, transport, [message])
            expect_equal(_execute(connection, transport, [message]), ["yes"], f"a repeated send through {kind}")
            connection.commit()
        loan = take_one(bench, transport, within=message.delay)
        took = steady() - begun
        expect(took >= message.delay - EARLY, f"a delay of {message.delay} s through {kind} was over after {took:.2f} s")
        nothing_comes(transport, within=0.3, why="the message was sent under one id")
        done(transport, [loan])


@CONTRACT.check("SND-6", needs="transactional", limit=90)
def a_settlement_commits_and_rolls_back_with_the_callers_transaction(bench: Bench) -> None:
    """Done with successors, and Again, hold if the transaction commits; if it does not, the loan lives on."""
    transport = bench.transport()
    for kind in bench.kinds_of_connection():
        send(transport, *bench.messages(2))
        loans = take(bench, transport, 2)
        successor = bench.message("successor")
        batch: list[Settlement] = [Done(loans[0], (successor,)), Again(loans[1], renewed(loans[1], b"again"))]
        with bench.connection(kind) as connection:
            expect_equal(_execute(connection, transport, (), batch), ["yes", "yes"], f"answers through {kind}")
            connection.rollback()
        nothing_comes(transport, within=0.3, why=f"the settlements through {kind} were rolled back")
        extend(transport, *loans)
        with bench.connection(kind) as connection:
            expect_equal(_execute(connection, transport, (), batch), ["yes", "yes"], f"answers through {kind}")
            connection.commit()
        found = take(bench, transport, 2)
        expect_equal(
            sorted(ids(found)), sorted([successor.id, loans[1].message.id]), f"what came of settling through {kind}"
        )
        expect_equal(sorted(bodies(found)), [b"again", b"successor"], f"bodies after settling through {kind}")
        done(transport, found)


@CONTRACT.check("SND-6", needs="transactional", limit=60)
def a_lost_lease_is_answered_lost_in_a_transaction(bench: Bench) -> None:
    """A settlement whose lease has ended answers LOST within the transaction, and changes nothing when it commits."""
    transport = bench.transport()
    lease = short_lease(bench)
    for kind in bench.kinds_of_connection():
        send(transport, bench.message("mine"))
        loan = take_one(bench, transport, lease=lease)
        bench.sleep(until_lapsed(bench, lease))
        with bench.connection(kind) as connection:
            settlement = Done(loan, (bench.message("successor"),))
            answers = _execute(connection, transport, [bench.message("beside")], [settlement])
            expect_equal(answers, ["yes", "lost"], f"answers through {kind} after the lease had ended")
            connection.commit()
        found = take(bench, transport, 2)
        expect_equal(sorted(bodies(found)), [b"beside", b"mine"], f"what is there after {kind}")
        done(transport, found)


@CONTRACT.check("SND-6", needs="transactional")
def statements_refuse_what_send_refuses(bench: Bench) -> None:
    """The same errors as for a send, raised before anything is executed."""
    transport = cast(Transactional, bench.transport())
    too_large = bench.message(bytes(bench.capabilities.max_body + 1))
    for message, error in ((too_large, "TooLarge"), (bench.message(queue="not allowed"), "ValueError")):
        try:
            transport.statements([message], [], [])
        except Exception as seen:  # noqa: BLE001  (its name is what is looked at)
            expect_equal(type(seen).__name__, error, "what statements raised")
        else:
            expect(False, f"statements took a message for which send raises {error}")


@CONTRACT.check("STO-6", needs="store.transactional", plane=Plane.STORE, limit=60)
def a_put_commits_and_rolls_back_with_the_callers_transaction(bench: Bench) -> None:
    """A write is invisible before the commit, there after it with its version, and absent after a rollback."""
    store = bench.store()
    for kind in bench.kinds_of_connection(store=True):
        key = Key("things", f"by {kind}")
        write = Write(key, bytes(range(256)), Expect.ABSENT)
        with bench.connection(kind, store=True) as connection:
            expect_equal(_execute(connection, bench.store_statements(), writes=[write]), ["yes"], f"answers through {kind}")
            expect_equal(store.get([key]), [None], f"what others see before the commit through {kind}")
            connection.rollback()
        expect_equal(store.get([key]), [None], f"what is there after a rollback through {kind}")
        with bench.connection(kind, store=True) as connection:
            answers = connections.execute(connection, bench.store_statements().statements([], [], [write]))
            connection.commit()
        record = store.get([key])[0]
        expect(
            record is not None and record.value == bytes(range(256)), f"a value written through {kind} came back otherwise"
        )
        version = getattr(answers[0], "version", None)
        expect_equal(version, record and record.version, f"the version that was answered through {kind}")


@CONTRACT.check("STO-6", needs="store.transactional", plane=Plane.STORE, limit=60)
def a_lost_compare_is_answered_in_the_transaction(bench: Bench) -> None:
    """Within a transaction too each write answers for itself, and a lost compare changes nothing."""
    store = bench.store()
    for kind in bench.kinds_of_connection(store=True):
        taken, free, gone = (Key("things", f"{name} by {kind}") for name in ("taken", "free", "gone"))
        store.put([Write(taken, b"old"), Write(gone, b"old")])
        writes = [Write(taken, b"new", Expect.ABSENT), Write(free, b"new", Expect.ABSENT, ttl=60.0), Write(gone, None)]
        with bench.connection(kind, store=True) as connection:
            expect_equal(
                _execute(connection, bench.store_statements(), writes=writes),
                ["lost", "yes", "yes"],
                f"answers through {kind}",
            )
            connection.commit()
        values = [record and record.value for record in store.get([taken, free, gone])]
        expect_equal(values, [b"old", b"new", None], f"values after {kind}")
