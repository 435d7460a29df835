"""Measures what accounts use: the sampler reads, the tally counts, the ledger keeps. Imported only where a sample is
taken: it brings SQLite."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.ledger.database import LedgerError
from paas_isolate.ledger.writer import LedgerWriter, Outdated, Owner
from paas_isolate.linux.cgroup import sampled
from paas_isolate.linux.cgroup.sampler import Sampler
from paas_isolate.linux.quota.devices import BlockDevices, counted_device
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.tally import Moment, Tally
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.metering import MeteringConfig

WRITING = 60_000
"""Milliseconds between two writings. What a killed program has not written is not lost: the kernel's counters go on.
Of a cgroup that is removed in that time, or when the power fails, so much is lost at the most."""
_BELOW = f"{tree.USERS}/"


class Meter:
    """Samples the accounts below `users` of the tree into the ledger of a directory. `warn` is told once what is wrong;
    nothing is raised but our own bugs. With `daemon` one Meter takes sample after sample; else one, which is written at
    once. Close it after use."""

    def __init__(self, directory: str, run: str, warn: Callable[[str], None], *, daemon: bool) -> None:
        self._directory, self._run, self._warn, self._daemon = directory, run, warn, daemon
        self._told = ""
        self._boot = sampled.boot()
        self._opened: _Opened | None = None
        self._fleet: Fleet | None = None
        self._owners = _Owners(lambda _: "")

    def sample(self, fleet: Fleet, root: str) -> None:
        """Take a sample. `root` is the path of the tree. Nothing happens where metering is off."""
        self._do(lambda config: self._sample(fleet, root, config), fleet)

    def removing(self, fleet: Fleet, root: str, path: str) -> None:
        """Take the last reading of a cgroup of the tree that is about to be removed."""
        if path.startswith(_BELOW):
            self._do(lambda config: self._last(fleet, root, path[len(_BELOW) :], config), fleet)

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
            self._told = ""
        except Outdated:  # somebody else has written: the next sample begins with what he wrote
            self._close()
        except (HostError, OSError) as error:
            if isinstance(error, OSError):
                self.close()  # the tree is gone, or was made anew
            if str(error) != self._told:
                self._told = str(error)
                self._warn(f"what accounts use is not measured: {error}")

    def _sample(self, fleet: Fleet, root: str, config: MeteringConfig) -> None:
        opened = self._open(fleet, root, config)
        now = _now()
        slow = opened.sampled == 0 or now.at - opened.slow >= WRITING
        readings, gone = opened.sampler.sample(slow=slow)
        opened.slow = now.at if slow else opened.slow
        opened.tally.take(now, readings, gone)
        opened.sampled = now.at
        with suppress(OSError):  # else a run of reconcile takes a sample, too: nothing is counted twice
            sampled.note(self._run, daemon=self._daemon)
        if not self._daemon or now.at - opened.written >= WRITING or opened.tally.has_gone:
            self._write(opened)
            opened.written = now.at
        opened.ledger.tidy(now)

    def _last(self, fleet: Fleet, root: str, path: str, config: MeteringConfig) -> None:
        opened = self._open(fleet, root, config)
        opened.tally.last(_now(), opened.sampler.whole(path))

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

    def _write(self, opened: "_Opened") -> None:
        tally, owners, zone = opened.tally, self._owners, opened.calendar.name
        if tally.sampled is not None:
            uses = tally.unwritten()
            opened.ledger.write(self._boot, tally.sampled, zone, uses, owners.of, owners.names, tally.times)
            tally.wrote()

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
        self.calendar = Calendar(config.time_zone)
        self.ledger = meter.ledger(config.keep)
        try:
            self.tally = meter.begun(self.ledger, self.calendar)
            bases = list(self.tally.bases())
            self.sampler = Sampler(users, meter.device_of, {base.path: base.counters for base in bases})
            self.tally.forget(self.sampler.missing((base.path, base.inode) for base in bases))
        except BaseException:
            self.ledger.close()
            raise
        self.sampled = self.slow = self.written = 0
        """Milliseconds (CLOCK_BOOTTIME): when this was done last; 0: not yet."""

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
        self._plans = {directory: account.plan or "" for directory, account in self._accounts.items()}
        self._devices: dict[str, str] = {}
        self._disks = BlockDevices()

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

    def device_of(self, directory: str) -> str:
        """The disk that the owner's home lies on; '' where there is none of this machine."""
        account = self._accounts.get(directory)
        home = account.home if account else ""
        if home not in self._devices:
            self._devices[home] = counted_device(home, self._disks.device_of)
        return self._devices[home]


def _now() -> Moment:
    return Moment(sampled.boottime(), time.time_ns() // 1_000_000)
