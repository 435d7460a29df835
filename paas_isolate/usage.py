"""Reads from the kernel what a cgroup uses now, which limits it has hit, and which processes keep an old view."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from paas_isolate.changes.conditions import Condition
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.counters import flat_keyed
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.metering.reading import io_of, killed
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.knobs import DEFAULTS, FREEZE
from paas_isolate.model.quota import BLOCK, QuotaUsage
from paas_isolate.model.world import Knobs, ObservedWorld
from paas_isolate.units import format_size


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of one cgroup. `memory`, `read` and `written` are bytes, `cpu` is microseconds; `memory` and `pids` are
    of this moment, all others since the cgroup was made. `read` and `written` are those of the disk that holds the
    home. None: the kernel has no such file or entry, or the home lies on no disk of this machine.

    `killed` counts processes killed for memory (metering.reading), `refused` forks above pids.max, `throttled` the
    periods in which cpu.max made it wait (cgroup-v2.rst: pids.events max, cpu.stat nr_throttled).
    """

    memory: int | None
    pids: int | None
    cpu: int | None
    killed: int
    refused: int
    throttled: int
    read: int | None
    written: int | None
    frozen: bool


@dataclass(frozen=True, slots=True)
class CgroupStatus:
    """One cgroup as `status` and `me` show it."""

    name: str
    path: str
    state: str
    knobs: Knobs
    use: Usage
    service: Condition | None = None
    """The state of the program that paas-isolate runs there, if any."""

    def data(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {**asdict(self), "service": self.service._asdict() if self.service else None}


def lines(
    cgroups: CgroupTree,
    directory: str,
    services: Iterable[str],
    *,
    device: str = "",
    state: str = "",
    conditions: Mapping[str, Condition] | None = None,
) -> Iterator[CgroupStatus]:
    """The account's cgroup and those of its services, as far as they exist.

    `device` is the `major:minor` whose IO counts, '' for none. Each has the `state` that is given; without one,
    `frozen`, or the state in `conditions` (by leaf), or `ok`.
    """
    leaves = {tree.leaf(directory, service): service for service in services}
    frozen = False
    for path, name in {tree.account(directory): directory, **leaves}.items():
        if (observed := cgroups.look(path, tuple(DEFAULTS))) is None:
            continue
        knobs, _ = observed
        frozen = frozen or (tree.is_account(path) and knobs.get(FREEZE) == "1")
        service = (conditions or {}).get(path)
        own = state or ("frozen" if frozen or knobs.get(FREEZE) == "1" else service.state if service else "ok")
        yield CgroupStatus(name, path, own, knobs, usage(cgroups, path, device), service)


def disk_uses(account: Account) -> Iterator[str]:
    """A sentence for each user: disk space and files used, and their quota, whether or not it is ours."""
    yield from disk_uses_at(account.home, account.uids)
    number = len(account.uids)
    if account.disk and number > 1:
        yield f"the disk quota is for each user: all {number} together may use {number} times as much"


def disk_uses_at(home: str, uids: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each user, if the file system of `home` has user quotas; nothing otherwise."""
    quotas = DiskQuotas()
    for user, uid in sorted(uids.items()):
        with suppress(HostError, OSError):  # a quota that is sold but cannot be set is reported by reconcile
            yield f"disk of {user}: {disk_use(quotas.usage(home, uid))}"


def disk_use(usage: QuotaUsage) -> str:
    """`1.2G of 10G, 3021 of 200000 files`."""
    space = format_size(usage.allowed.blocks * BLOCK) if usage.allowed.blocks else "unlimited"
    return f"{format_size(usage.space)} of {space}, {usage.files} of {usage.allowed.files or 'unlimited'} files"


class LimitCounters(NamedTuple):
    """How often limits were hit since the cgroup was made, as in Usage."""

    killed: int = 0
    refused: int = 0
    throttled: int = 0


_COUNTER_FILES = ("memory.events", "pids.events", "cpu.stat")


def limit_counters(cgroups: CgroupTree, path: str) -> LimitCounters:
    """The counters of a cgroup; 0 when the cgroup or the kernel's file does not exist."""
    texts, _ = cgroups.look(path, _COUNTER_FILES) or ({}, ())
    memory, pids, cpu = (flat_keyed(texts.get(name)) for name in _COUNTER_FILES)
    return LimitCounters(killed(memory) or 0, pids.get("max", 0), cpu.get("nr_throttled", 0))


def usage(cgroups: CgroupTree, path: str, device: str) -> Usage:
    """The use of a cgroup and all cgroups below it. `device` is the `major:minor` whose IO counts, '' for none: a sum
    over all would count the same bytes again for each device in a stack (LVM, LUKS, md)."""
    cpu = flat_keyed(cgroups.read(path, "cpu.stat"))
    memory = cgroups.read(path, "memory.current")
    pids = cgroups.read(path, "pids.current")
    io = cgroups.read(path, "io.stat")
    read, written, *_ = io_of(io.encode() if io is not None else None, device)
    return Usage(
        memory=int(memory) if memory else None,
        pids=int(pids) if pids else None,
        cpu=cpu.get("usage_usec"),
        killed=killed(flat_keyed(cgroups.read(path, "memory.events"))) or 0,
        refused=flat_keyed(cgroups.read(path, "pids.events")).get("max", 0),
        throttled=cpu.get("nr_throttled", 0),
        read=read,
        written=written,
        frozen=flat_keyed(cgroups.read(path, "cgroup.events")).get("frozen", 0) == 1,
    )


def processes_in_old_view(fleet: Fleet, observed: ObservedWorld, only: str = "") -> dict[str, list[int]]:
    """Pids, by account directory, that are in another mount namespace than the account's view. They were started before
    it was made or changed, or without a PAM session, or have made a namespace of their own."""
    by_directory: dict[str, list[int]] = {}
    for path, pids in observed.members.items() if observed.views.namespaces else ():
        directory = tree.directory_of(path)
        if (view := observed.views.namespaces.get(directory)) and only in ("", directory):
            by_directory.setdefault(directory, []).extend(pid for pid in pids if _is_outside(fleet, pid, view))
    return {directory: sorted(pids) for directory, pids in by_directory.items() if pids}


def _is_outside(fleet: Fleet, pid: int, view: int) -> bool:
    uid = procfs.effective_uid(pid)
    return uid is not None and fleet.governs(uid) and procfs.mount_namespace(pid) not in (0, view)
