"""The hands of quotas, with a memory: a row of a file system does not tell who has set it."""

from collections.abc import Iterable, Mapping

from paas_isolate.errors import HostError
from paas_isolate.linux.quota import filesystems
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.model.quota import UNLIMITED, AppliedQuotaStore, FileSystem, Quota, QuotaKey, Quotas, QuotaSpec


class QuotaStore:
    """What is given is remembered before it is set: of a run that is killed between the two, the memory has a row too
    many, never one too few."""

    def __init__(self, memory: AppliedQuotaStore) -> None:
        self._memory = memory

    def observe(self, account: Mapping[int, QuotaSpec]) -> Quotas:
        """Of those who were sold some, and of those who had some."""
        disk = DiskQuotas()
        allowed: dict[QuotaKey, Quota] = {}
        systems: dict[str, FileSystem] = {}
        unable: dict[str, str] = {}
        for uid, it in account.items():
            try:
                system, usage = disk.found(it.path, uid)
                systems[it.path] = system
                allowed[QuotaKey(system.name, uid)] = usage.allowed
            except (OSError, HostError) as error:
                unable[it.directory] = str(error)
        given = self._memory.load()
        points = dict(_points(row for row in given if row not in allowed))
        for row, point in tuple(points.items()):
            try:
                allowed[row] = disk.found(point, row.uid)[1].allowed
            except (OSError, HostError):
                del points[row]
        return Quotas(allowed=allowed, filesystems=systems, unsupported=unable, applied=given, mountpoints=points)

    def set(self, wanted: Mapping[QuotaKey, QuotaSpec]) -> list[str]:
        """What went wrong with each, '' where nothing did."""
        before = self._memory.load()
        given = {row: it.directory for row, it in wanted.items() if it.quota != UNLIMITED}
        if new := given.keys() - before.keys():
            self._memory.save({**before, **given})
        disk = DiskQuotas()
        wrong = [_set(disk, row, it) for row, it in wanted.items()]
        if failed := new & {row for row, why in zip(wanted, wrong, strict=True) if why}:
            self._memory.save({row: it for row, it in self._memory.load().items() if row not in failed})
        return wrong

    def lift_all(self) -> tuple[int, list[QuotaKey]]:
        """For who leaves: how many were lifted, and what is given still, for nobody can reach it now."""
        before = self.observe({})
        self.set({row: QuotaSpec(before.applied[row], point, UNLIMITED) for row, point in before.mountpoints.items()})
        after = self.observe({})
        left = [row for row in after.applied if after.allowed.get(row) != UNLIMITED]
        self._memory.save({row: after.applied[row] for row in left})
        return len(before.applied) - len(left), left


def _points(rows: Iterable[QuotaKey]) -> Iterable[tuple[QuotaKey, str]]:
    rows = tuple(rows)
    found = filesystems.points({row.system for row in rows})
    return ((row, found[row.system]) for row in rows if row.system in found)


def _set(disk: DiskQuotas, row: QuotaKey, wanted: QuotaSpec) -> str:
    try:
        disk.set(wanted.path, row.uid, wanted.quota, system=row.system)
    except (OSError, HostError) as error:
        return str(error).partition("\n")[0]
    return ""
