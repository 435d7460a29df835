"""What nobody expected to be raised, as the daemon tells it: the same once an hour, whoever it is that causes it."""

import time

from paas_isolate.daemon.reporter import Reporter
from paas_isolate.errors import Trouble, trouble

_HOUR = 3600.0


class Troubles:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._told: dict[str, float] = {}
        """When, by the place: there are no more of those than lines of ours."""

    def tell(self, whose: str, found: Trouble) -> None:
        now = time.monotonic()
        if now - self._told.get(found.place, -_HOUR) >= _HOUR:
            self._told[found.place] = now
            self._reporter.broken({whose: found})

    def bug(self, error: Exception) -> None:
        self.tell("a question", trouble(error))
