"""What happens, for those who follow it: the last events, and the clients that get each new one."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from paas_isolate.control import request as lines
from paas_isolate.control.request import Caller, Reply
from paas_isolate.daemon.control import Request

KEPT = 1000
"""Events that are remembered, for clients that come back."""


class _Subscriber(NamedTuple):
    caller: Caller
    send: Callable[[bytes], bool]


class EventHub:
    """An event has an id, RUN.NUMBER: a client that comes back names the last one that it has seen, and gets those
    after. RUN is of this daemon's life: after its restart the client is told that events may be missing.

    `may_hear` says whether somebody may hear of an account ('': of the machine). It is asked for each event: rights
    may change while a client listens."""

    def __init__(self, may_hear: Callable[[Caller, str], bool]) -> None:
        self._may_hear = may_hear
        self._run = secrets.token_hex(4)
        self._number = 0
        self._last: deque[tuple[int, str, Reply]] = deque(maxlen=KEPT)
        self._subscribers: list[_Subscriber] = []

    def publish(self, kind: str, account: str, words: str, **data: object) -> None:
        """Send an event to all who may hear of it. `account` is '' where it is about the machine."""
        self._number += 1
        event = {
            "id": f"{self._run}.{self._number}",
            "time": int(time.time()),
            "kind": kind,
            "account": account,
            "words": words,
            **data,
        }
        self._last.append((self._number, account, event))
        if self._subscribers:
            line = lines.event(event)
            self._subscribers = [
                each for each in self._subscribers if not self._may_hear(each.caller, account) or each.send(line)
            ]

    def subscribe(self, request: Request) -> Reply:
        """The events after the one that is named, and whether some may be missing; each new one follows."""
        caller, after = request.caller, request.options.get("after", "")
        run, _, number = after.partition(".")
        known = run == self._run and int(number) <= self._number
        oldest = self._last[0][0] if self._last else self._number + 1
        seen = int(number) if known else 0
        request.subscribe(lambda send: self._subscribers.append(_Subscriber(caller, send)))
        events = [event for at, account, event in self._last if after and at > seen and self._may_hear(caller, account)]
        missing = bool(after) and (not known or seen + 1 < oldest)
        return {"events": events, "last": f"{self._run}.{self._number}", "missing": missing}
