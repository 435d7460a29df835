"""Reports unexpected exceptions: one from the same line of code at most once an hour, whatever caused it."""

import time

from paas_isolate.daemon.reporter import Reporter
from paas_isolate.errors import Trouble
from paas_isolate.errors import trouble as trouble_of

_HOUR = 3600.0


class Troubles:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reported: dict[str, float] = {}
        """When each was reported, by its place in our code, which bounds their number."""

    def tell(self, what: str, trouble: Trouble) -> None:
        now = time.monotonic()
        if now - self._reported.get(trouble.place, -_HOUR) >= _HOUR:
            self._reported[trouble.place] = now
            self._reporter.broken({what: trouble})

    def bug(self, error: Exception) -> None:
        self.tell("a request", trouble_of(error))
