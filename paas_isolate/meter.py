"""Measures what accounts use: the sampler reads, the tally counts, the ledger keeps. Imported only where a sample is
taken: it brings SQLite."""

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from paas_isolate.errors import HostError
from paas_isolate.fault_finder import FaultFinder
from paas_isolate.ledger.database import LedgerError
from paas_isolate.ledger.writer import FaultNews, LedgerWriter, Outdated, Owner
from paas_isolate.linux.cgroup import sampled
from paas_isolate.linux.cgroup.sampler import Sampler
from paas_isolate.linux.quota.devices import HomeDevices
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.linux.system.pressure import host_pressure
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.faults import Fault, Taken
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.reading import Reading
from paas_isolate.metering.tally import Moment, Tally
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.model.network import PINS

if TYPE_CHECKING:
    from paas_isolate.linux.bpf.gate.traffic import Counted

_COUNTING = 1000
"""Milliseconds between two walks through all connections, where accounts are removed."""
COUNTING = frozenset({"memory_hugetlb_accounting"})
"""Mount options of cgroup2 that change what the kernel counts: huge pages as memory (cgroup-v2.rst, Linux 6.6). What is
read here does not depend on memory_localevents and pids_localevents."""
WRITING = 60_000
"""Milliseconds between two writings. What a killed program has not written is not lost: the kernel's counters go on.
Of a cgroup that is removed in that time, or when the power fails, so much is lost at the most."""
PICTURES = 100
_BELOW = f"{tree.USERS}/"


class Meter:
    """Samples the accounts below `users` of the tree into the ledger of a directory. `warn` is told once what is wrong;
    nothing is raised but our own bugs. With `daemon` one Meter takes sample after sample; else one, which is written at
    once. Close it after use."""

    def __init__(self, directory: str, run: str, warn: Callable[[str], None], *, daemon: bool) -> None:
        self._directory, self._run, self._warn, self._daemon = directory, run, warn, daemon
        self._told = ""
        """The warning that was given last; '' once something was written since."""
        self._boot = sampled.boot()
        self._opened: _Opened | None = None
        self._fleet: Fleet | None = None
        self._owners = _Owners(lambda _: "")
        self._pictures: list[Taken] = []
        self.told: Callable[[Sequence[Fault]], None] = lambda _: None
        """Called with faults as they are found."""
        self.active: set[str] = set()
        """The directories of the accounts that did something until the last sample."""

    def sample(self, fleet: Fleet, root: str) -> None:
        """Take a sample. `root` is the path of the tree. Nothing happens where metering is off."""
        self._do(lambda config: self._sample(fleet, root, config), fleet)

    def removing(self, fleet: Fleet, root: str, path: str) -> None:
        """Take the last reading of a cgroup of the tree that is about to be removed."""
        if path.startswith(_BELOW):
            self._do(lambda config: self._last(fleet, root, path[len(_BELOW) :], config), fleet)

    def look(self, fleet: Fleet, root: str, hit: Collection[str], waiting: Collection[str]) -> None:
        """Look for faults in accounts, by directory: in those that the kernel says have hit a limit ('': all together),
        and in those that are waiting for IO."""
        self._do(lambda config: self._look(fleet, root, hit, waiting, config), fleet)

    def keep(self, pictures: Collection[Taken]) -> None:
        """Write these pictures with the next sample. A ledger that cannot be written holds up PICTURES of them."""
        self._pictures = [*self._pictures, *pictures][-PICTURES:]

    def close(self) -> None:
        """Write what is not written, and close all files."""
        if self._opened is not None:
            with suppress(LedgerError, Outdated):
                self._write(self._opened)
        self._close()

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _do(self, work: Callable[[MeteringConfig], None], fleet: Fleet) -> None:
        config = fleet.host.metering
        if config is None:
            self.close()
            return
        try:
            work(config)
        except Outdated:  # somebody else has written: the next sample begins with what he wrote
            self._close()
        except (HostError, OSError) as error:
            if isinstance(error, OSError):
                self.close()  # the tree is gone, or was made anew
            if str(error) != self._told:
                self._told = str(error)
                waits = isinstance(error, LedgerError) and self._opened is not None
                what = "is measured, but not written until this ends" if waits else "is not measured"
                self._warn(f"what accounts use {what}: {error}")

    def _sample(self, fleet: Fleet, root: str, config: MeteringConfig) -> None:
        opened = self._open(fleet, root, config)
        now = _now()
        slow = opened.sampled == 0 or now.at - opened.slow >= WRITING
        readings, gone = opened.sampler.sample(slow=slow)
        if fleet.host.network is not None and (slow or any(is_new(reading, opened.tally) for reading in readings)):
            readings = with_traffic(readings, opened.traffic(now))
        if slow:
            opened.slow = now.at
            opened.host.append(host_pressure(now.at))
        self.active = {reading.path.partition("/")[0] for reading in readings}
        opened.finder.sample(now, opened.tally.sampled, readings, gone)
        self.told(opened.finder.untold())
        opened.tally.take(now, readings, gone)
        opened.sampled = now.at
        with suppress(OSError):  # else a run of reconcile takes a sample, too: nothing is counted twice
            sampled.note(self._run, daemon=self._daemon)
        soon = opened.tally.has_gone or opened.finder.is_urgent or self._pictures
        if not self._daemon or now.at - opened.written >= WRITING or soon:
            self._write(opened)
            opened.ledger.note_mount_options(opened.calendar.label(now.wall).day[:7], opened.mount_options)
            opened.written = now.at
        if slow:
            opened.ledger.forget_pictures(self._owners.exists(root))
        opened.ledger.tidy(now)

    def _look(
        self, fleet: Fleet, root: str, hit: Collection[str], waiting: Collection[str], config: MeteringConfig
    ) -> None:
        opened = self._open(fleet, root, config)
        now = _now()
        opened.finder.look(now, opened.tally.sampled, [directory for directory in hit if directory])
        for directory in waiting:
            opened.finder.waiting(now, directory)
        self.told(opened.finder.untold())

    def _last(self, fleet: Fleet, root: str, path: str, config: MeteringConfig) -> None:
        opened = self._open(fleet, root, config)
        now = _now()
        opened.finder.look(now, opened.tally.sampled, [path.partition("/")[0]])
        self.told(opened.finder.untold())
        readings = opened.sampler.whole(path)
        if fleet.host.network is not None and "/" not in path:
            readings = with_traffic(readings, opened.traffic(now))
        opened.tally.last(now, readings)
        opened.finder.forget(reading.path for reading in readings)

    def _open(self, fleet: Fleet, root: str, config: MeteringConfig) -> "_Opened":
        users = os.path.join(root, tree.USERS)
        if self._opened is not None and self._opened.settings != (users, config):
            self.close()
        if self._opened is None:
            self._opened = _Opened(self, users, config)
            self._adopt(fleet, self._opened)
        elif fleet is not self._fleet:
            if self._owners.differ(fleet):  # what was used until now belongs to the old plans
                self._write(self._opened)
            self._adopt(fleet, self._opened)
        return self._opened

    def _adopt(self, fleet: Fleet, opened: "_Opened") -> None:
        self._fleet = fleet
        self._owners = _Owners(opened.ledger.plan_of, fleet)
        opened.finder.account_of = self._owners.account_of

    def _write(self, opened: "_Opened") -> None:
        tally, owners, zone = opened.tally, self._owners, opened.calendar.name
        if tally.sampled is not None:
            uses, host = tally.unwritten(), opened.host
            faults, seen = opened.finder.unwritten()
            news = FaultNews(faults, self._pictures, seen)
            owned = owners.of, owners.names
            opened.ledger.write(
                self._boot, tally.sampled, zone, uses, *owned, tally.times, news, host=host, labels=owners.labels
            )
            tally.wrote()
            host.clear()
            opened.finder.wrote()
            self._pictures = []
            self._told = ""

    def device_of(self, directory: str) -> str:
        return self._owners.device_of(directory)

    def ledger(self, keep: int) -> LedgerWriter:
        return LedgerWriter(self._directory, keep, self._warn)

    def begun(self, ledger: LedgerWriter, calendar: Calendar) -> Tally:
        """A tally that goes on where the ledger ends. What was used in an earlier boot is settled first."""
        written = ledger.read()
        if written is None:
            return Tally(calendar)
        if written.boot == self._boot:
            return Tally(calendar, written.bases, written.sampled)
        before = Tally(calendar, written.bases, written.sampled)
        before.end()
        owners = _Owners(ledger.plan_of)
        ledger.write(written.boot, written.sampled, calendar.name, before.unwritten(), owners.of, {}, ends=True)
        return Tally(calendar)


class _Opened:
    """What is open while samples are taken."""

    def __init__(self, meter: Meter, users: str, config: MeteringConfig) -> None:
        self.settings = users, config
        self.host: list[HostReading] = []
        """Readings of the machine's pressure that are not written yet."""
        self.calendar = Calendar(config.time_zone)
        self.mount_options = COUNTING & cgroup2().options
        self.ledger = meter.ledger(config.keep)
        try:
            self.tally = meter.begun(self.ledger, self.calendar)
            bases = list(self.tally.bases())
            self.sampler = Sampler(users, meter.device_of, {base.path: base.counters for base in bases})
            self.finder = FaultFinder(users, config.faults, self.ledger.seen(), self.tally.base)
            missing = self.sampler.missing((base.path, base.inode) for base in bases)
            self.tally.forget(missing)
            self.finder.forget(missing)
        except BaseException:
            self.ledger.close()
            raise
        self.sampled = self.slow = self.written = 0
        """Milliseconds (CLOCK_BOOTTIME): when this was done last; 0: not yet."""
        self._counted: tuple[int, Counted | None] = -_COUNTING, None

    def traffic(self, now: Moment) -> "Counted | None":
        """What the gate has counted; None where there is none, or it cannot be read. It may be a second old: of
        thousands of accounts that are removed at once each asks."""
        if now.at - self._counted[0] >= _COUNTING:
            from paas_isolate.linux.bpf.gate.pins import Pins
            from paas_isolate.linux.bpf.gate.traffic import counted

            try:
                self._counted = now.at, counted(Pins(PINS))
            except (HostError, OSError):
                self._counted = now.at, None
        return self._counted[1]

    def close(self) -> None:
        self.sampler.close()
        self.ledger.close()


class _Owners:
    """Whose each cgroup is, by the directories of a fleet. `plan_of` is asked for accounts that no file names."""

    def __init__(self, plan_of: Callable[[str], str], fleet: Fleet | None = None) -> None:
        self._plan_of = plan_of
        self._accounts: dict[str, Account] = (
            {account.directory: account for account in fleet.accounts.values()} if fleet else {}
        )
        self.names = {directory: account.name for directory, account in self._accounts.items()}
        self.labels = {directory: account.labels for directory, account in self._accounts.items()}
        self._plans = {directory: account.plan or "" for directory, account in self._accounts.items()}
        self._devices = HomeDevices()

    def differ(self, fleet: Fleet) -> bool:
        """Whether an account has another plan in `fleet`."""
        return any(
            self._plans.get(account.directory, account.plan or "") != (account.plan or "")
            for account in fleet.accounts.values()
        )

    def of(self, path: str) -> Owner:
        directory, _, leaf = path.partition("/")
        if (plan := self._plans.get(directory)) is None:
            plan = self._plans[directory] = self._plan_of(directory)
        return Owner(directory, leaf, plan)

    def account_of(self, directory: str) -> Account | None:
        return self._accounts.get(directory)

    def exists(self, root: str) -> Callable[[str], bool]:
        """Whether an account is sold, or has a cgroup."""
        users = os.path.join(root, tree.USERS)
        return lambda directory: directory in self._accounts or os.path.isdir(os.path.join(users, directory))

    def device_of(self, directory: str) -> str:
        """The disk that the owner's home lies on; '' where there is none of this machine."""
        account = self._accounts.get(directory)
        return self._devices.of(account.home if account else "")


def is_new(reading: Reading, tally: Tally) -> bool:
    """Whether an account is read for the first time: what it has sent from now on is its use."""
    return "/" not in reading.path and reading.path not in tally


def with_traffic(readings: list[Reading], counted: "Counted | None") -> list[Reading]:
    """The readings with what the accounts among them have received and sent."""
    if counted is None:
        return readings
    return [_with_traffic(reading, counted) if "/" not in reading.path else reading for reading in readings]


def _with_traffic(reading: Reading, counted: "Counted") -> Reading:
    found = counted.traffic.get(reading.inode)
    received, sent = (found.bytes_in, found.bytes_out) if found else (0, 0)
    return reading._replace(counters=reading.counters._replace(received=received, sent=sent), traffic_map=counted.map)


def _now() -> Moment:
    return Moment(sampled.boottime(), time.time_ns() // 1_000_000)
