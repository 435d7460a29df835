"""Event source: the machine has begun or ceased to listen on a port that is to be published.

No event of the kernel tells of bind(2) or listen(2), so it looks every second while there is such a port; less often
where a look takes long (tens of thousands of connections), so that it costs two hundredths of a core at most.
"""

import time
from collections.abc import Callable, Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.timer import Timer

EVERY = 1.0
"""Seconds."""
_SHARE = 0.02


class ListenerSource:
    """It reports nothing before `watch`. OSError when there is no timer."""

    def __init__(self) -> None:
        self._timer = Timer()
        self._look: Callable[[], frozenset[int]] = frozenset
        self._seen = frozenset[int]()

    def fileno(self) -> int:
        return self._timer.fileno()

    def close(self) -> None:
        self._timer.close()

    def watch(self, look: Callable[[], frozenset[int]] | None, seen: frozenset[int]) -> None:
        """Report when `look` finds other ports than `seen`; None: there is nothing to look at."""
        self._look, self._seen = look or frozenset, seen
        self._timer.arm(EVERY if look else 0)

    def read(self) -> Iterator[Event]:
        self._timer.read()
        begin = time.thread_time()
        found = self._look()
        self._timer.arm(max(EVERY, (time.thread_time() - begin) / _SHARE))
        if found != self._seen:
            self._seen = found
            yield Event(EventKind.NETWORK, "a port that is to be published")
