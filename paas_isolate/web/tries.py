"""How often a login may be tried before the login helper is started: each try starts a Python as root.

The helper counts, too, by name and address, in a file that outlives this process. Here it is only about the machine's
time: strangers get a small part of it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from paas_isolate.control.address import Allowance, network_of

MOST = 4096
"""Addresses that are counted; the one that was seen longest ago is forgotten first."""

ADDRESS, ALL = Allowance(10, 1 / 6), Allowance(40, 2)


class Tries:
    """Token buckets: of each address (an IPv6 network of 64 bits counts as one), and of all. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (0.0, clock())

    def take(self, address: str) -> bool:
        """Whether one more is allowed; it is counted then."""
        key, now = network_of(address), self._clock()
        of_address, of_all = ADDRESS.level(self._used.get(key), now), ALL.level(self._all, now)
        if of_address + 1 > ADDRESS.burst or of_all + 1 > ALL.burst:
            return False
        self._all = of_all + 1, now
        self._used[key] = of_address + 1, now
        self._used.move_to_end(key)
        while len(self._used) > MOST:
            self._used.popitem(last=False)
        return True

    def give_back(self, address: str) -> None:
        """A login that succeeds was no try."""
        if used := self._used.get(key := network_of(address)):
            self._used[key] = max(0.0, used[0] - 1), used[1]
        self._all = max(0.0, self._all[0] - 1), self._all[1]
