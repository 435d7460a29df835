"""Takes a sample of what accounts use, again and again."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from paas_isolate.errors import PaasError, trouble
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.process.pictures import Subject
from paas_isolate.metering.faults import Fault, Kind, Taken
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.metering import MeteringConfig

if TYPE_CHECKING:
    from paas_isolate.meter import Meter


_FIRST = 1000
"""Milliseconds between two looks whether the first full pass is over: before the first sample no fault is found."""


class MeterSource:
    """An event source of the loop that only has a timer. `customers` returns None before the first full pass. SQLite is
    imported only while metering is on. OSError where there is no timer."""

    def __init__(self, installation: Installation, warn: Callable[[str], None]) -> None:
        self._installation, self._warn = installation, warn
        self.customers: Callable[[], Fleet | None] = lambda: None
        self.sampled: Callable[[str, Collection[str], int], None] = lambda *_: None
        """Called after a sample: the directory of the accounts' cgroups, those that were active, `faults.waited`."""
        self.listeners: list[Callable[[Sequence[Fault]], None]] = []
        """Each is called with faults as they are found."""
        self._meter: Meter | None = None
        self._every = 0
        self._clock = Timer()
        self._arm(_FIRST)

    def fileno(self) -> int:
        return self._clock.fileno()

    def close(self) -> None:
        """Take a last sample, and write it."""
        fleet = self.customers()
        if self._meter is not None and fleet is not None:
            self._sample(fleet, self._meter)
            self._meter.close()
        self._clock.close()

    def read(self) -> Iterator[Event]:
        self._clock.read()
        fleet = self.customers()
        if fleet is None:
            return iter(())
        self._arm((fleet.host.metering or MeteringConfig()).every)
        if fleet.host.metering is not None:
            meter = self._opened()
            self._sample(fleet, meter)
            self._tell(fleet, meter, fleet.host.metering)
        elif self._meter is not None:
            self._meter.close()
            self._meter = None
        return iter(())

    def removing(self, fleet: Fleet, path: str) -> None:
        """Take the last reading of a cgroup that is about to be removed. Nothing is raised: the pass goes on."""
        if fleet.host.metering is None:
            return
        try:
            self._opened().removing(fleet, find_tree(fleet.host.tree).root, path)
        except Exception as error:  # noqa: BLE001  (see above)
            self._warn(f"the last reading of {path} is missing: {trouble(error).what}")

    def look(self, hit: Collection[str], waiting: Collection[str]) -> None:
        """Look for faults where the kernel says that there are some: in accounts that have hit a limit ('': perhaps one
        of all together), and in those that wait for IO."""
        fleet = self.customers()
        if fleet is not None and self._meter is not None:
            with suppress(PaasError):  # there is no tree now: the full pass says so
                self._meter.look(fleet, find_tree(fleet.host.tree).root, hit, waiting)

    def keep(self, pictures: Collection[Taken]) -> None:
        if self._meter is not None:
            self._meter.keep(pictures)

    def subject(self, directory: str, kind: Kind) -> Subject | None:
        """Of whom a picture is to be taken; None where nothing is measured now."""
        fleet = self.customers()
        if fleet is None or fleet.host.metering is None:
            return None
        names = {
            uid: user
            for account in fleet.accounts.values()
            if directory in ("", account.directory)
            for user, uid in account.uids.items()
        }
        knob = "pids.current" if kind is Kind.REFUSED else "memory.current"
        with suppress(PaasError):
            users = os.path.join(find_tree(fleet.host.tree).root, tree.USERS)
            return Subject(users, directory, names, fleet.host.metering.command_lines, knob)
        return None

    def _tell(self, fleet: Fleet, meter: "Meter", config: MeteringConfig) -> None:
        with suppress(PaasError):
            users = os.path.join(find_tree(fleet.host.tree).root, tree.USERS)
            self.sampled(users, meter.active, config.faults.waited)

    def _found(self, faults: Sequence[Fault]) -> None:
        for listener in self.listeners:
            listener(faults)

    def _opened(self) -> "Meter":
        if self._meter is None:
            from paas_isolate.meter import Meter

            self._meter = Meter(self._installation.ledger, self._installation.run, self._warn, daemon=True)
            self._meter.told = self._found
        return self._meter

    def _sample(self, fleet: Fleet, meter: "Meter") -> None:
        try:
            root = find_tree(fleet.host.tree).root
        except PaasError:
            return  # there is no tree now: the full pass says so
        meter.sample(fleet, root)

    def _arm(self, every: int) -> None:
        if every != self._every:
            self._clock.arm(every / 1000)
            self._every = every
