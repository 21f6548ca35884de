"""A forked child has connections of its own, and none of its parent's loans."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable

from jobkit.transport import Answer, Delivery, Done, Message
from jobkit_rabbitmq.transport import RabbitmqTransport

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]


def in_child(work: Callable[[], object]) -> int:
    """The exit status of a forked child that does *work*."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001  (nothing of this test run may go on in the child)
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_parent_and_child_go_on_with_the_same_transport(transport: RabbitmqTransport, message: Make, take: Take) -> None:
    transport.send([message("held"), message("parent")])
    (held,) = take(transport, limit=1)

    def child() -> None:
        assert transport.settle([Done(held)])[0].answer is Answer.LOST
        assert transport.send([message("child")])[0].answer is Answer.YES
        (loan,) = take(transport, limit=1)
        assert transport.settle([Done(loan)])[0].answer is Answer.YES
        transport.close()

    assert in_child(child) == 0
    assert transport.extend([held], lease=20)[0].answer is Answer.YES
    assert transport.send([message("after")])[0].answer is Answer.YES
    assert [each.message.id for each in take(transport)] == ["child", "after"]
    assert transport.settle([Done(held)])[0].answer is Answer.YES


def test_a_child_that_ends_leaves_its_parents_connection_alone(
    transport: RabbitmqTransport, message: Make, take: Take
) -> None:
    transport.send([message("held")])
    (held,) = take(transport)
    for _ in range(3):
        assert in_child(lambda: None) == 0
    assert transport.settle([Done(held)])[0].answer is Answer.YES


def test_a_child_may_close_what_it_inherited(transport: RabbitmqTransport, message: Make) -> None:
    transport.send([message("one")])
    assert in_child(transport.close) == 0
    assert transport.send([message("two")])[0].answer is Answer.YES
