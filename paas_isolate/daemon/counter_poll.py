"""Polls the limit counters of all accounts, a few at a time, so that it costs next to nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.daemon.limit_events import LimitEvents
from paas_isolate.errors import PaasError, Trouble, trouble
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.usage import LimitCounters, limit_counters

EVERY = 10
"""Seconds between two polls."""
SHARE = 1 / 2000
"""The share of a core that polling may take. An account in use takes about 100 µs and one that is not 10 µs, so 300
accounts in use are polled each minute."""


def counters(cgroups: CgroupTree, account: Account) -> dict[str, LimitCounters]:
    """The counters of an account (key '') and of its services."""
    found = {"": limit_counters(cgroups, tree.account(account.directory))}
    for each in leaves(account.services):
        found[each.name] = limit_counters(cgroups, tree.leaf(account.directory, each.name))
    return found


class CounterPoller:
    """An event source of the loop that only has a timer. `customers` returns None before the first full pass; `wrong`
    is called with unexpected exceptions, by account."""

    def __init__(
        self,
        hits: LimitEvents,
        customers: Callable[[], Fleet | None],
        opened: Callable[[Fleet], AbstractContextManager[CgroupTree]],
        wrong: Callable[[str, Trouble], None],
    ) -> None:
        self._hits, self._customers, self._opened, self._wrong = hits, customers, opened, wrong
        self._next = 0
        self._clock = Timer()
        self._clock.arm(EVERY)

    def fileno(self) -> int:
        return self._clock.fileno()

    def close(self) -> None:
        self._clock.close()

    def read(self) -> Iterator[Event]:
        self._clock.read()
        fleet = self._customers()
        if fleet is not None:
            try:
                self._go_on(fleet, time.monotonic() + EVERY * SHARE)
            except (PaasError, OSError):  # there is no tree now: the full pass says so
                self._next = 0
        return iter(())

    def _go_on(self, fleet: Fleet, end: float) -> None:
        with self._opened(fleet) as cgroups:
            now = int(time.time())
            for account in islice(fleet.accounts.values(), self._next, None):
                self._next += 1
                try:
                    if not self._hits.knows(account.directory) or cgroups.populated(tree.account(account.directory)):
                        self._hits.take(account.directory, counters(cgroups, account), now)
                except (PaasError, OSError):
                    raise
                except Exception as error:  # noqa: BLE001  (the next account's counters are read nevertheless)
                    self._wrong(account.name, trouble(error))
                if time.monotonic() >= end:
                    return
        self._next = 0
        self._hits.forget_all_but({account.directory for account in fleet.accounts.values()})
