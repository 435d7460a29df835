"""Refused logins to the page, as events for administrators.

Strangers choose how many there are. The page and the login helper bound how often anybody may try; here it is bounded
how many of the events that are remembered are about them, so that they push out no others.
"""

import time
from collections.abc import Callable
from typing import Protocol

from paas_isolate.control.logins import KIND, RefusedLogin
from paas_isolate.daemon.rate_limit import Rate

TOLD = Rate(burst=20, a_second=1 / 60)
"""Events at once, and in the long run. Those that are not told are counted, and the next one says how many."""


class Publish(Protocol):
    def __call__(self, kind: str, account: str, sentence: str, **data: object) -> None: ...


class RefusedLogins:
    """`clock` is in seconds."""

    def __init__(self, publish: Publish, clock: Callable[[], float] = time.monotonic) -> None:
        self._publish, self._clock = publish, clock
        self._bucket, self._untold = TOLD.begin(), 0

    def hear(self, login: RefusedLogin) -> None:
        """It is about the machine (account ''), whoever was named: customers do not hear of it."""
        if not self._bucket.take(self._clock()):
            self._untold += 1
            return
        before = f"; {self._untold} more before it" if self._untold else ""
        self._publish(
            KIND,
            "",
            f"{login}{before}",
            user=login.user,
            why=login.refusal.value,
            untold=self._untold,
            **{"from": login.address},
        )
        self._untold = 0
