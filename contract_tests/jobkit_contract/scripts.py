"""
What child processes do. Each function gets a bench on its parent's namespace and a line to the parent.

A script that has said its last word ends; its process goes with it.
"""

from __future__ import annotations

import os
import time

from jobkit.clock import steady
from jobkit.errors import JobKitError
from jobkit.transport import Done, Transport
from jobkit_contract import wall
from jobkit_contract.bench import Bench
from jobkit_contract.child import Talk
from jobkit_contract.steps import receive, send, take, take_one


def hold(bench: Bench, talk: Talk, *, count: int, lease: float) -> None:
    """Receive *count* messages, say so, and hold them."""
    talk.say(len(take(bench, bench.transport(), count, lease=lease)))
    talk.hear()


def freeze_and_settle(bench: Bench, talk: Talk, *, lease: float) -> None:
    """Hold a message; once told to go on, try to extend and to settle it, and say what came of it and what is left."""
    transport = bench.transport()
    send(transport, bench.message("frozen"))
    loan = take_one(bench, transport, lease=lease)
    talk.say("held")
    talk.hear()
    extended = transport.extend([loan], lease=lease)[0].answer.value
    settled = transport.settle([Done(loan, (bench.message("successor"),))])[0].answer.value
    left = len(receive(transport, wait=0.5))
    talk.say({"extend": extended, "settle": settled, "left": left})


def jump(bench: Bench, talk: Talk, *, lease: float, delay: float) -> None:
    """Measure a delay and a lease while the wall clock jumps by an hour to and fro."""
    transport = bench.transport()
    wall.set_wrong_by(3600.0)
    begun = steady()
    send(transport, bench.message("delayed", delay=delay))
    wall.set_wrong_by(-3600.0)
    found = receive(transport, lease=lease)
    wall.set_wrong_by(3600.0)
    if not found:
        take_one(bench, transport, lease=lease, within=delay)
    delayed = steady() - begun
    begun = steady()
    wall.set_wrong_by(-3600.0)
    loan = take_one(bench, transport, within=lease)
    leased = steady() - begun
    wall.set_wrong_by(3600.0)
    extended = transport.extend([loan], lease=30.0)[0].answer.value
    wall.set_wrong_by(-3600.0)
    settled = transport.settle([Done(loan)])[0].answer.value
    talk.say({"delay": delayed, "lease": leased, "extend": extended, "settle": settled})


def send_and_hold(bench: Bench, talk: Talk, *, wrong_by: float, lease: float, delay: float) -> None:
    """With a wrong clock, hold one message and delay another; say when each is due for others."""
    wall.set_wrong_by(wrong_by)
    transport = bench.transport()
    send(transport, bench.message("held"))
    held = steady() + lease
    take_one(bench, transport, lease=lease)
    delayed = steady() + delay
    send(transport, bench.message("delayed", delay=delay))
    talk.say({"held": held, "delayed": delayed})
    talk.hear()


def look(bench: Bench, talk: Talk) -> None:
    """Say how many messages are there for this process."""
    talk.say(len(receive(bench.transport(), wait=0.5)))


def read(bench: Bench, talk: Talk, *, collection: str) -> None:
    """Say how many records are there for this process."""
    talk.say(len(bench.store().scan(collection, limit=10)))


def fork_and_send(bench: Bench, talk: Talk, *, count: int) -> None:
    """Use a transport, fork, and go on in both processes at once; say how many messages were answered YES in each."""
    transport = bench.transport()
    send(transport, bench.message("parent first"))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, b"%d\n" % _send_many(bench, transport, "child", count))
        os._exit(0)
    answered = _send_many(bench, transport, "parent", count)
    os.close(theirs)
    with os.fdopen(ours) as line:
        talk.say({"parent": answered, "child": int(line.readline() or -1)})
    os.waitpid(child, 0)


def _send_many(bench: Bench, transport: Transport, name: str, count: int) -> int:
    """How many of *count* sends were answered YES; an adapter may refuse to work in a forked child."""
    bench.random.seed(f"{bench.seed}/{name}")
    answered = 0
    for number in range(count):
        try:
            send(transport, bench.message(f"{name} {number}"))
            answered += 1
        except JobKitError:
            pass
        time.sleep(0.002)
    return answered
