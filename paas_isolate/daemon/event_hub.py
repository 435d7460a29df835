"""What happens, for those who follow it: the last events, and the clients that get each new one."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from paas_isolate.control import request as lines
from paas_isolate.control.request import Caller, Reply
from paas_isolate.daemon.control import Customers, Request
from paas_isolate.metering.faults import WORDS, Fault
from paas_isolate.model.steps import Step

KEPT = 1000
"""Events that are remembered, for clients that come back."""
_AT_ONCE = 100
"""Changes of one pass that are told."""


class _Subscriber(NamedTuple):
    caller: Caller
    send: Callable[[bytes], bool]


class EventHub:
    """An event has an id, RUN.NUMBER: a client that comes back names the last one that it has seen, and gets those
    after. RUN is of this daemon's life: after its restart the client is told that events may be missing.

    `may_hear` says whether somebody may hear of an account ('': of the machine). It is asked for each event: rights
    may change while a client listens. `customers` are those of the last full pass."""

    def __init__(self) -> None:
        self.may_hear: Callable[[Caller, str], bool] = lambda *_: False
        self.customers: Callable[[], Customers | None] = lambda: None
        self._run = secrets.token_hex(4)
        self._number = 0
        self._last: deque[tuple[int, str, Reply]] = deque(maxlen=KEPT)
        self._subscribers: list[_Subscriber] = []

    def hear_faults(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            number = f" {fault.number} times" if fault.number > 1 else ""
            self.publish(
                fault.kind.value,
                self._name(fault.directory),
                f"{WORDS[fault.kind]}{number}",
                leaf=fault.leaf,
                level=fault.level.value,
            )

    def hear_steps(self, steps: Sequence[Step]) -> None:
        for step in steps[:_AT_ONCE]:
            self.publish("changed", self._name(step.owner), str(step))
        if len(steps) > _AT_ONCE:
            self.publish("changed", "", f"and {len(steps) - _AT_ONCE} more")

    def _name(self, directory: str) -> str:
        customers = self.customers()
        account = customers.places.account_in(directory) if customers else None
        return account.name if account else directory

    def publish(self, kind: str, account: str, sentence: str, **data: object) -> None:
        """Send an event to all who may hear of it. `account` is '' where it is about the machine."""
        self._number += 1
        event = {
            "id": f"{self._run}.{self._number}",
            "time": int(time.time()),
            "kind": kind,
            "account": account,
            "sentence": sentence,
            **data,
        }
        self._last.append((self._number, account, event))
        if self._subscribers:
            line = lines.event(event)
            self._subscribers = [
                each for each in self._subscribers if not self.may_hear(each.caller, account) or each.send(line)
            ]

    def subscribe(self, request: Request) -> Reply:
        """The events after the one that is named, and whether some may be missing; each new one follows."""
        caller, after = request.caller, request.options.get("after", "")
        run, _, number = after.partition(".")
        known = run == self._run and int(number) <= self._number
        oldest = self._last[0][0] if self._last else self._number + 1
        seen = int(number) if known else 0
        request.subscribe(lambda send: self._subscribers.append(_Subscriber(caller, send)))
        events = [event for at, account, event in self._last if after and at > seen and self.may_hear(caller, account)]
        missing = bool(after) and (not known or seen + 1 < oldest)
        return {"events": events, "last": f"{self._run}.{self._number}", "missing": missing}
