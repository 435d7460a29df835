"""Accounts and leaves as they are now. Each call reads the kernel once more; rates are those since the call before."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.recent import faults_of_last_hour
from paas_isolate.linux.cgroup.sampled import boottime
from paas_isolate.linux.cgroup.sampler import Sampler
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.quota.devices import HomeDevices
from paas_isolate.live.rates import LIMIT_KNOBS, CgroupLimits, Row, limits_of
from paas_isolate.metering.rates import Rates, idle, rates
from paas_isolate.metering.reading import Counters, Reading
from paas_isolate.metering.use import known_levels
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.usage import limit_counters

_ASKED = 30_000
"""Milliseconds between two questions to the ledger."""


class LiveAccounts:
    """All accounts below `users` of the tree, and the leaves of one of them. `ledger` is the ledger's directory, which
    tells the faults if something is measured now; else they are counted from the first call on. OSError where the
    directory cannot be opened. Close it after use."""

    def __init__(self, fleet: Fleet, cgroups: CgroupTree, ledger: str) -> None:
        self._cgroups, self._ledger = cgroups, ledger
        self._names = fleet.names_by_directory()
        self._homes = {account.directory: account.home for account in fleet.accounts.values()}
        self._devices = HomeDevices()
        self._sampler = Sampler(os.path.join(cgroups.root, tree.USERS), self._device_of, {}, leaves=False)
        self._rows: dict[str, Row] = {}
        self._counters: dict[str, tuple[int, Counters]] = {}
        self._active: set[str] = set()
        self._moved: set[str] = set()
        self._at = 0
        self._entered: dict[str, tuple[int, int, Counters]] = {}
        self._begun: dict[str, int] = {}
        """Faults that were counted when this began, by account or leaf."""
        self._faults: Mapping[str, int] | None = None
        self._asked = -_ASKED

    def close(self) -> None:
        self._sampler.close()

    def _device_of(self, directory: str) -> str:
        return self._devices.of(self._homes.get(directory, ""))

    @property
    def number(self) -> int:
        """Of accounts that have a cgroup."""
        return len(self._rows)

    @property
    def active(self) -> int:
        """The number of accounts that did something between the last two readings."""
        return len(self._active)

    @property
    def from_ledger(self) -> bool:
        """Whether the ledger tells the faults."""
        return self._faults is not None

    def read(self) -> Iterable[Row]:
        """The rows of all accounts, without limits. FileNotFoundError where the directory is gone."""
        now, before = boottime(), self._at
        found, gone = self._sampler.sample(slow=True)
        self._ask(now)
        for path in gone:
            self._rows.pop(path, None)
            self._counters.pop(path, None)
        moved, self._moved = self._moved, {each.path for each in found}
        self._active.clear()
        for each in found:
            self._take(each, now - before)
        for path in moved - self._moved:
            if path in self._rows:
                self._rows[path] = self._rows[path]._replace(rates=idle(self._counters[path][1]))
        self._at = now
        return self._rows.values()

    def _take(self, found: Reading, milliseconds: int) -> None:
        path, inode, counters, levels = found.path, found.inode, found.counters, found.levels
        last = self._counters.get(path)
        known = last is not None and last[0] == inode
        row = self._rows.get(path)
        grown = rates(last[1], counters, milliseconds) if last is not None and known else Rates()
        if row is not None and known:
            levels = known_levels(row.levels, levels)
        self._counters[path] = inode, counters
        if known and grown.cpu != 0:
            self._active.add(path)
        self._rows[path] = Row(path, self._names.get(path, path), grown, levels, self._faults_of(path))

    def _faults_of(self, path: str) -> int | None:
        if self._faults is not None:
            return self._faults.get(path, 0)
        with suppress(OSError):
            found = limit_counters(self._cgroups, f"{tree.USERS}/{path}")
            number = found.killed + found.refused
            return max(0, number - self._begun.setdefault(path, number))
        return None

    def _ask(self, now: int) -> None:
        """Ask the ledger for the faults, now and then."""
        if now - self._asked < _ASKED:
            return
        self._asked, before = now, self._faults
        try:
            with reading(self._ledger) as connection:
                self._faults = faults_of_last_hour(connection, time.time_ns() // 1_000_000)
        except HostError:
            self._faults = None
        if self._faults != before:
            for path, row in self._rows.items():
                self._rows[path] = row._replace(faults=self._faults_of(path))

    def enter(self, directory: str) -> list[Row]:
        """The account and its leaves, with limits; [] where it has no cgroup."""
        now = boottime()
        found = []
        for path, inode, counters, levels, *_ in self._sampler.whole(directory):
            at, same, last = self._entered.get(path, (0, 0, counters))
            grown = rates(last, counters, now - at) if same == inode else Rates()
            self._entered[path] = now, inode, counters
            name = self._names.get(directory, directory)
            found.append(Row(path, name, grown, levels, self._faults_of(path), self._limits(path)))
        return sorted(found, key=lambda row: row.path)

    def pids(self, rows: Iterable[Row]) -> dict[str, tuple[int, ...]]:
        """The processes of leaves, by leaf."""
        return {row.leaf: self._cgroups.pids(f"{tree.USERS}/{row.path}") for row in rows if row.leaf}

    def limited(self, rows: Sequence[Row]) -> list[Row]:
        """These rows with their limits, which are read now."""
        return [row._replace(limits=self._limits(row.path)) for row in rows]

    def _limits(self, path: str) -> CgroupLimits:
        try:
            knobs, _ = self._cgroups.look(f"{tree.USERS}/{path}", LIMIT_KNOBS) or ({}, ())
        except OSError:
            return CgroupLimits()
        return limits_of(knobs)

    def directory_of(self, name: str) -> str:
        """The directory of the account with this name; '' where it has none."""
        by_name = {known: directory for directory, known in self._names.items()}
        directory = by_name.get(name, name)
        return directory if "/" not in directory and self._cgroups.exists(f"{tree.USERS}/{directory}") else ""
