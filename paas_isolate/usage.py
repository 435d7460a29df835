"""Kernel -> figures: what one cgroup uses at this moment, and which limits it has hit; and who sees what is past."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from paas_isolate.changes.conditions import Condition
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.counters import flat_keyed, oom_kills
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.knobs import DEFAULTS, FREEZE
from paas_isolate.model.quota import BLOCK, QuotaUsage
from paas_isolate.model.world import Knobs, World
from paas_isolate.units import format_size


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes, processes, and microseconds of CPU time since the cgroup was made; None where the kernel does not
    tell. `killed` counts victims of memory.max, `refused` forks above pids.max, `throttled` periods of cpu.max
    in which it had to wait (cgroup-v2.rst: memory.events, pids.events, cpu.stat)."""

    memory: int | None
    pids: int | None
    cpu: int | None
    killed: int
    refused: int
    throttled: int
    read: int
    written: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class CgroupStatus:
    """One cgroup as it is shown."""

    name: str
    path: str
    state: str
    knobs: Knobs
    use: Usage
    service: Condition | None = None
    """How it stands with the program that paas-isolate runs there."""

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "service": self.service._asdict() if self.service else None}


def lines(
    cgroups: CgroupTree,
    directory: str,
    services: Iterable[str],
    *,
    state: str = "",
    conditions: Mapping[str, Condition] | None = None,
) -> Iterator[CgroupStatus]:
    """An account and those of its services that have a cgroup. Where no `state` is given, the freezer tells, and for
    a program that paas-isolate runs its condition, by its leaf."""
    paths = {tree.account(directory): directory, **{tree.leaf(directory, it): it for it in services}}
    frozen = False
    for path, name in paths.items():
        if (seen := cgroups.look(path, tuple(DEFAULTS))) is None:
            continue
        knobs, _ = seen
        frozen = frozen or (tree.is_account(path) and knobs.get(FREEZE) == "1")
        service = (conditions or {}).get(path)
        own = state or ("frozen" if frozen or knobs.get(FREEZE) == "1" else service.state if service else "ok")
        yield CgroupStatus(name, path, own, knobs, usage(cgroups, path), service)


def disk_uses(account: Account) -> Iterator[str]:
    """Of each user, sold or not: an administrator may have set a limit."""
    yield from disk_uses_at(account.home, account.uids)
    many = len(account.uids)
    if account.disk and many > 1:
        yield f"a quota of the disk is each user's: all {many} together may have {many} times as much"


def disk_uses_at(home: str, uids: Mapping[str, int]) -> Iterator[str]:
    """Where the file system of a home keeps count of users, as quotas need it."""
    from paas_isolate.linux.quota.calls import DiskQuotas  # only who asks for one account pays for it

    quotas = DiskQuotas()
    for user, uid in sorted(uids.items()):
        with suppress(HostError, OSError):  # that it cannot be had, if it was sold, has been told
            yield f"disk of {user}: {disk_use(quotas.usage(home, uid))}"


def disk_use(usage: QuotaUsage) -> str:
    """`1.2G of 10G, 3021 of 200000 files`."""
    space = format_size(usage.allowed.blocks * BLOCK) if usage.allowed.blocks else "unlimited"
    return f"{format_size(usage.space)} of {space}, {usage.files} of {usage.allowed.files or 'unlimited'} files"


class LimitCounters(NamedTuple):
    """How often limits were hit since the cgroup was made, as in Use."""

    killed: int = 0
    refused: int = 0
    throttled: int = 0


_STRUCK = ("memory.events", "pids.events", "cpu.stat")


def limit_counters(cgroups: CgroupTree, path: str) -> LimitCounters:
    """Of a cgroup: all 0 where it is not there, or the kernel does not tell."""
    found, _ = cgroups.look(path, _STRUCK) or ({}, ())
    memory, pids, cpu = (flat_keyed(found.get(name)) for name in _STRUCK)
    return LimitCounters(memory.get("oom_kill", 0), pids.get("max", 0), cpu.get("nr_throttled", 0))


def usage(cgroups: CgroupTree, path: str) -> Usage:
    """Figures of a cgroup with all that is below it."""
    cpu = flat_keyed(cgroups.read(path, "cpu.stat"))
    memory = cgroups.read(path, "memory.current")
    pids = cgroups.read(path, "pids.current")
    disks = [_equations(line) for line in (cgroups.read(path, "io.stat") or "").splitlines()]
    return Usage(
        memory=int(memory) if memory else None,
        pids=int(pids) if pids else None,
        cpu=cpu.get("usage_usec"),
        killed=oom_kills(cgroups, path),
        refused=flat_keyed(cgroups.read(path, "pids.events")).get("max", 0),
        throttled=cpu.get("nr_throttled", 0),
        read=sum(disk.get("rbytes", 0) for disk in disks),
        written=sum(disk.get("wbytes", 0) for disk in disks),
        frozen=flat_keyed(cgroups.read(path, "cgroup.events")).get("frozen", 0) == 1,
    )


def processes_in_old_view(fleet: Fleet, observed: World, only: str = "") -> dict[str, list[int]]:
    """By account directory, its customers' processes that are in another mount namespace than the account's view: begun
    before it was made or changed, by what passes no session of PAM, or in one that they have made for themselves."""
    found: dict[str, list[int]] = {}
    for path, pids in observed.members.items() if observed.views.namespaces else ():
        directory = tree.directory_of(path)
        if (now := observed.views.namespaces.get(directory)) and only in ("", directory):
            found.setdefault(directory, []).extend(pid for pid in pids if _sees_another(fleet, pid, now))
    return {directory: sorted(pids) for directory, pids in found.items() if pids}


def _sees_another(fleet: Fleet, pid: int, now: int) -> bool:
    uid = procfs.effective_uid(pid)
    return uid is not None and fleet.governs(uid) and procfs.mount_namespace(pid) not in (0, now)


def _equations(line: str) -> dict[str, int]:
    """`254:0 rbytes=1 wbytes=2` without the device."""
    return {name: int(value) for name, _, value in (word.partition("=") for word in line.split()[1:])}
