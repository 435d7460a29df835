"""Which questions the worker answers first, and which are refused."""

import pytest

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import Caller
from paas_isolate.control.table import BY_NAME
from paas_isolate.daemon.control import Request
from paas_isolate.daemon.work_queue import (
    AT_ONCE,
    OF_A_KIND,
    OF_ACCOUNT,
    WAITING,
    WAITING_OF_ACCOUNT,
    Question,
    WorkQueue,
)


def asked(number: int, account: str = "", deadline: float = 10.0) -> Question:
    request = Request(BY_NAME["usage"], Caller(1001, 1), bool(account), account, {}, None)
    return Question(number, request, account, deadline)


def begun(queue: WorkQueue) -> list[int]:
    """The questions that are answered at once now, in their order."""
    found = []
    while (question := queue.next(0.0)) is not None:
        found.append(question.number)
    return found


def test_so_many_are_answered_at_once_and_the_others_in_their_order() -> None:
    queue = WorkQueue()
    for number in range(4):
        queue.add(asked(number))
    queue.add(asked(4, "alice"))
    assert sorted(begun(queue)) == [0, 1, 2, 4]
    assert len(queue.running) == AT_ONCE
    del queue.running[0]
    assert begun(queue) == [3]


def test_customers_leave_a_place_to_administrators() -> None:
    queue = WorkQueue()
    for number, name in enumerate(("alice", "bob", "carol", "dave")):
        queue.add(asked(number, name))
    assert begun(queue) == [*range(OF_A_KIND)]
    queue.add(asked(9))
    assert begun(queue) == [9]


def test_a_customer_who_asks_much_waits_for_others() -> None:
    queue = WorkQueue()
    for number in range(8):
        queue.add(asked(number, "alice"))
    assert begun(queue) == [*range(OF_ACCOUNT)]
    queue.add(asked(8, "bob"))
    assert begun(queue) == [8]


def test_too_many_that_wait_are_refused() -> None:
    queue = WorkQueue()
    for number in range(WAITING_OF_ACCOUNT):
        queue.add(asked(number, "alice"))
    with pytest.raises(RefusedError) as refused:
        queue.add(asked(99, "alice"))
    assert refused.value.status == 75
    for number in range(WAITING_OF_ACCOUNT, WAITING):
        queue.add(asked(number))
    with pytest.raises(RefusedError):
        queue.add(asked(99, "bob"))
    assert not queue.idle
    assert len(queue.clear()) == WAITING
    assert queue.idle


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    queue = WorkQueue()
    queue.add(asked(1, deadline=0.0))
    queue.add(asked(2))
    assert begun(queue) == [2]
