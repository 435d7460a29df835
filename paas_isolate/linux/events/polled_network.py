"""Event source: the machine has begun or ceased to listen on a port that is to be published, or a socket that is bound
to an account's address has sent to another machine.

No event of the kernel tells of either, so it looks every second while there is a network; less often where a look takes
long (tens of thousands of connections), so that it costs two hundredths of a core at most.
"""

import time
from collections.abc import Callable, Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.timer import Timer
from paas_isolate.model.network import Polled

EVERY = 1.0
"""Seconds."""
_SHARE = 0.02


class PolledNetworkSource:
    """It reports nothing before `watch`. OSError when there is no timer."""

    def __init__(self) -> None:
        self._timer = Timer()
        self._look: Callable[[], Polled] = Polled
        self._seen = Polled()

    def fileno(self) -> int:
        return self._timer.fileno()

    def close(self) -> None:
        self._timer.close()

    def watch(self, look: Callable[[], Polled] | None, seen: Polled) -> None:
        """Report when `look` finds something else than `seen`; None: there is nothing to look at."""
        self._look, self._seen = look or Polled, seen
        self._timer.arm(EVERY if look else 0)

    def read(self) -> Iterator[Event]:
        self._timer.read()
        begin = time.thread_time()
        found = self._look()
        self._timer.arm(max(EVERY, (time.thread_time() - begin) / _SHARE))
        before, self._seen = self._seen, found
        if found.ports_in_use != before.ports_in_use:
            yield Event(EventKind.NETWORK, "a port that is to be published")
        if found.leaves and not before.leaves:
            yield Event(EventKind.NETWORK, "a packet for another machine from an account's address")
