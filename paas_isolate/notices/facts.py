"""For which accounts the triggers of rules hold at this moment: from the ledger, the cgroups, /proc and disk quotas."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.changes.placement import Placement
from paas_isolate.errors import HostError, PaasError
from paas_isolate.ledger.database import NAME, reading
from paas_isolate.ledger.faults import faults
from paas_isolate.linux.cgroup.files import texts_of
from paas_isolate.linux.process import procfs
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.metering.faults import Fault
from paas_isolate.metering.notices import Found, above, faults_of
from paas_isolate.metering.reading import cores_of, keyed, number
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.left import compiled
from paas_isolate.model.notices import SHARES, STRAY, NoticeRule
from paas_isolate.model.quota import BLOCK

CpuTimes = Mapping[str, tuple[int, int]]
"""By account: CPU time in microseconds, and CLOCK_BOOTTIME in ms when it was read."""


class Place(NamedTuple):
    """Where to look: the path of cgroup2's mount, that of the tree, and the ledger's directory."""

    mount: str
    root: str
    ledger: str


class Look:
    """One look at all accounts. Each source is read at most once, and only where a rule needs it. `before` are the CPU
    times of the look before. `warn` is told of a source that cannot be read; its rules are left out."""

    def __init__(self, fleet: Fleet, place: Place, before: CpuTimes, warn: Callable[[str], None]) -> None:
        self._fleet, self._place, self._before, self._warn = fleet, place, before, warn
        self.cpu_times: dict[str, tuple[int, int]] = {}
        self.faults: tuple[Fault, ...] = ()

    def find(self, rules: Iterable[NoticeRule], now: int, *, since: int = 0) -> dict[str, Found]:
        """What holds, by the rule's key. `now` is ms since 1970. `faults` has those from `since` on afterwards, where
        that is not 0."""
        asked = list(rules)
        shares = {what: self._tried(what, shares) for what, shares in self._shares().items() if _asks(asked, what)}
        longest = max((rule.trigger.within for rule in asked if rule.trigger.number), default=0)
        known = self._read_faults(min(now - longest, since or now)) if longest or since else False
        strays = self._tried(STRAY, self._strays) if _asks(asked, STRAY) else None
        found: dict[str, Found] = {}
        for rule in asked:
            trigger = rule.trigger
            if trigger.number:
                if known:
                    found[rule.key] = self._named(faults_of(trigger, self.faults, now))
            elif trigger.what == STRAY:
                if strays is not None:
                    found[rule.key] = {name: int(share) for name, share in strays.items()}
            elif (those := shares[trigger.what]) is not None:
                found[rule.key] = above(trigger, those)
        return found

    def _tried(self, what: str, read: Callable[[], dict[str, float]]) -> dict[str, float] | None:
        try:
            return read()
        except (PaasError, OSError) as error:
            self._warn(f"rules about {what} are not looked at: {error}")
            return None

    def _shares(self) -> Mapping[str, Callable[[], dict[str, float]]]:
        by_name = (self._cpu, self._memory, self._processes, self._disk)
        return dict(zip(SHARES, by_name, strict=True))

    def _read_faults(self, since: int) -> bool:
        if not os.path.exists(os.path.join(self._place.ledger, NAME)):
            return False  # the first sample makes it
        try:
            with reading(self._place.ledger) as connection:
                self.faults = tuple(faults(connection, since=since))
        except PaasError as error:
            self._warn(f"rules about faults are not looked at: {error}")
            return False
        return True

    def _named(self, by_directory: Mapping[str, int]) -> dict[str, int]:
        names = self._fleet.names_by_directory()
        return {names[directory]: figure for directory, figure in by_directory.items() if directory in names}

    def _texts(self, *files: str) -> Iterator[tuple[Account, dict[str, bytes]]]:
        users = os.open(os.path.join(self._place.root, tree.USERS), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for account in self._fleet.accounts.values():
                if (texts := texts_of(users, account.directory, files)) is not None:
                    yield account, texts
        finally:
            os.close(users)

    def _cpu(self) -> dict[str, float]:
        """The share since the look before."""
        shares = {}
        for account, texts in self._texts("cpu.max", "cpu.stat"):
            cores = cores_of(texts.get("cpu.max", b"").decode("ascii", "replace"))
            used = keyed(texts.get("cpu.stat")).get("usage_usec")
            if used is None or cores is None:
                continue
            at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
            self.cpu_times[account.name] = used, at
            was, then = self._before.get(account.name, (used, at))
            allowed = (at - then) * 1000 * cores
            if used >= was and allowed > 0:
                shares[account.name] = (used - was) / allowed
        return shares

    def _memory(self) -> dict[str, float]:
        """Without the cache, which the kernel takes back before it kills anybody."""
        shares = {}
        for account, texts in self._texts("memory.max", "memory.stat"):
            limit, stat = number(texts.get("memory.max")), keyed(texts.get("memory.stat"))
            if limit and "anon" in stat:
                shares[account.name] = (stat["anon"] + stat.get("shmem", 0)) / limit
        return shares

    def _processes(self) -> dict[str, float]:
        shares = {}
        for account, texts in self._texts("pids.max", "pids.current"):
            limit, current = number(texts.get("pids.max")), number(texts.get("pids.current"))
            if limit and current is not None:
                shares[account.name] = current / limit
        return shares

    def _disk(self) -> dict[str, float]:
        """Of space or of files, of the user who comes nearest to the limit."""
        shares: dict[str, float] = {}
        quotas = DiskQuotas()
        for account in self._fleet.accounts.values():
            for uid in account.uids.values() if account.disk and account.home else ():
                try:
                    usage = quotas.usage(account.home, uid)
                except (HostError, OSError):  # a quota that is sold and cannot be set is reported by reconcile
                    continue
                space, files = usage.allowed.blocks * BLOCK, usage.allowed.files
                both = (usage.space / space if space else 0, usage.files / files if files else 0)
                shares[account.name] = max(shares.get(account.name, 0), *both)
        return shares

    def _strays(self) -> dict[str, float]:
        """Processes outside the tree, by account. A daemon moves them in a moment: these could not be moved."""
        places, leave = Placement(self._fleet), compiled(self._fleet.host.leave)
        inside = self._place.root[len(self._place.mount.rstrip("/")) :] + "/"
        numbers: dict[str, float] = {}
        for pid, uid in procfs.effective_uids():
            account = places.account_of(uid) if uid and self._fleet.governs(uid) else None
            if account is None or (path := procfs.cgroup(pid)) is None or path.startswith(inside):
                continue
            if leave is not None and leave.fullmatch(path):
                continue
            identity = procfs.identity(pid)
            if identity and identity.alive and identity.settled:
                numbers[account.name] = numbers.get(account.name, 0) + 1
        return numbers


def _asks(rules: Iterable[NoticeRule], what: str) -> bool:
    return any(rule.trigger.what == what for rule in rules)
