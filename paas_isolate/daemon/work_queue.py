"""Which questions the worker process answers now, and which wait: no customer starves others, and customers do not
starve administrators. Pure."""

from collections import Counter
from typing import NamedTuple

from paas_isolate.control.refusal import RefusedError
from paas_isolate.daemon.control import Request
from paas_isolate.exits import Exit

AT_ONCE = 4
"""Questions that are answered at once."""
OF_A_KIND = 3
"""Of them those of customers, and those of administrators: neither waits for the other."""
OF_ACCOUNT = 2
"""Of them those of one customer."""
WAITING, WAITING_OF_ACCOUNT = 64, 8
"""Questions that wait, of all and of one customer."""


class Question(NamedTuple):
    """`account` is the customer's who asks, '' for an administrator. Nobody waits for the answer after `deadline`
    (monotonic clock)."""

    number: int
    request: Request
    account: str
    deadline: float


class WorkQueue:
    def __init__(self) -> None:
        self.running: dict[int, Question] = {}
        self._waiting: list[Question] = []

    @property
    def idle(self) -> bool:
        return not (self.running or self._waiting)

    def add(self, question: Question) -> None:
        """RefusedError where too many wait."""
        own = sum(each.account == question.account for each in self._waiting)
        if len(self._waiting) >= WAITING or (question.account and own >= WAITING_OF_ACCOUNT):
            raise RefusedError("too many questions wait for an answer: ask again in a moment", Exit.BUSY)
        self._waiting.append(question)

    def next(self, now: float) -> Question | None:
        """The question to be answered now, which runs from here on: of those that may run the oldest of who has the
        fewest running. Those that nobody waits for any more are forgotten."""
        self._waiting = [each for each in self._waiting if each.deadline > now]
        if len(self.running) >= AT_ONCE:
            return None
        of_account = Counter(each.account for each in self.running.values())
        of_kind = Counter(bool(each.account) for each in self.running.values())
        ready = [
            each
            for each in self._waiting
            if of_kind[bool(each.account)] < OF_A_KIND and (not each.account or of_account[each.account] < OF_ACCOUNT)
        ]
        if not ready:
            return None
        chosen = min(ready, key=lambda each: of_account[each.account])
        self._waiting.remove(chosen)
        self.running[chosen.number] = chosen
        return chosen

    def clear(self) -> list[Question]:
        """Forget all; those that were in it."""
        every = [*self.running.values(), *self._waiting]
        self.running.clear()
        self._waiting.clear()
        return every
