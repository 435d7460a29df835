"""Requests that take long: the client gets an address where to look at them."""

import asyncio
import secrets
import time
from collections.abc import Awaitable
from typing import Any
from weakref import WeakKeyDictionary

from paas_isolate.control.table import Verb
from paas_isolate.web.link import AskError, Link, LinkClosedError
from paas_isolate.web.problem import GONE, TOO_MANY, UNKNOWN, ProblemError, of_refusal

KEPT = 16
"""Operations of one login that are remembered; the oldest that has ended is forgotten first."""
AT_ONCE = 2
"""Operations of one login that run."""
_SOON = 0.5
"""Seconds within which a refusal is answered as such."""


class Operation:
    def __init__(self, verb: Verb, work: Awaitable[dict[str, Any]]) -> None:
        self.id = secrets.token_hex(8)
        self.verb = verb
        self.began = int(time.time())
        self.task = asyncio.ensure_future(work)

    def data(self) -> dict[str, object]:
        """AskError and LinkClosedError are in it as a problem. Other exceptions are raised."""
        data: dict[str, object] = {"id": self.id, "verb": self.verb.name, "began": self.began, "state": "running"}
        if not self.task.done():
            return data
        try:
            return {**data, "state": "done", "result": self.task.result()}
        except AskError as error:
            return {**data, "state": "failed", "problem": of_refusal(error, self.verb).data()}
        except LinkClosedError:
            return {**data, "state": "failed", "problem": ProblemError(GONE, "the daemon was restarted").data()}


class Operations:
    """The operations of each login, which are forgotten with it. No login sees those of another."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Link, dict[str, Operation]] = WeakKeyDictionary()

    async def begin(self, link: Link, verb: Verb, work: Awaitable[dict[str, Any]]) -> Operation:
        """AskError and LinkClosedError where it is refused at once, ProblemError where too many run."""
        own = self._of.setdefault(link, {})
        if sum(not each.task.done() for each in own.values()) >= AT_ONCE:
            asyncio.ensure_future(work).cancel()
            raise ProblemError(TOO_MANY, f"{AT_ONCE} operations of yours run: wait for them")
        operation = Operation(verb, work)
        await asyncio.wait({operation.task}, timeout=_SOON)
        if operation.task.done():
            operation.task.result()
        own[operation.id] = operation
        while len(own) > KEPT:
            del own[next(name for name, each in own.items() if each.task.done())]
        return operation

    def find(self, link: Link, name: str) -> Operation:
        """ProblemError where this login has no such operation."""
        try:
            return self._of[link][name]
        except KeyError:
            raise ProblemError(UNKNOWN, "no operation of yours has this id") from None
