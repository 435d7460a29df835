"""The port of the quotas. What we have set is saved, for a row of a file system does not tell who has set it."""

from collections.abc import Iterable, Mapping

from paas_isolate.errors import HostError
from paas_isolate.linux.quota import filesystems
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.model.quota import UNLIMITED, AppliedQuotaStore, FileSystem, Quota, QuotaKey, Quotas, QuotaSpec


class QuotaStore:
    """A limit is saved before it is set: after a run that was killed in between, `applied` has a row too many, never
    one too few."""

    def __init__(self, applied: AppliedQuotaStore) -> None:
        self._applied = applied

    def observe(self, account: Mapping[int, QuotaSpec]) -> Quotas:
        """The quotas of the uids in `account`, which are to have some, and of those that were given some before."""
        disk = DiskQuotas()
        allowed: dict[QuotaKey, Quota] = {}
        systems: dict[str, FileSystem] = {}
        unsupported: dict[str, str] = {}
        for uid, spec in account.items():
            try:
                system, usage = disk.found(spec.path, uid)
                systems[spec.path] = system
                allowed[QuotaKey(system.name, uid)] = usage.allowed
            except (OSError, HostError) as error:
                unsupported[spec.directory] = str(error)
        applied = self._applied.load()
        points = dict(_points(row for row in applied if row not in allowed))
        for row, point in tuple(points.items()):
            try:
                allowed[row] = disk.found(point, row.uid)[1].allowed
            except (OSError, HostError):
                del points[row]
        return Quotas(
            allowed=allowed, filesystems=systems, unsupported=unsupported, applied=applied, mountpoints=points
        )

    def set(self, wanted: Mapping[QuotaKey, QuotaSpec]) -> list[str]:
        """Set quotas. For each, in order, what went wrong, '' where nothing did. OSError where they cannot be saved."""
        before = self._applied.load()
        limited = {row: spec.directory for row, spec in wanted.items() if spec.quota != UNLIMITED}
        if new := limited.keys() - before.keys():
            self._applied.save({**before, **limited})
        disk = DiskQuotas()
        wrong = [_set(disk, row, spec) for row, spec in wanted.items()]
        if failed := new & {row for row, problem in zip(wanted, wrong, strict=True) if problem}:
            applied = self._applied.load()
            self._applied.save({row: directory for row, directory in applied.items() if row not in failed})
        return wrong

    def lift_all(self) -> tuple[int, list[QuotaKey]]:
        """Lift all quotas that were ever set, when paas-isolate is removed. How many were lifted, and which are still
        set, for their file systems cannot be reached now."""
        before = self.observe({})
        self.set({row: QuotaSpec(before.applied[row], point, UNLIMITED) for row, point in before.mountpoints.items()})
        after = self.observe({})
        left = [row for row in after.applied if after.allowed.get(row) != UNLIMITED]
        self._applied.save({row: after.applied[row] for row in left})
        return len(before.applied) - len(left), left


def _points(rows: Iterable[QuotaKey]) -> Iterable[tuple[QuotaKey, str]]:
    """A mount point of each row's file system, where it is mounted."""
    rows = tuple(rows)
    points = filesystems.points({row.system for row in rows})
    return ((row, points[row.system]) for row in rows if row.system in points)


def _set(disk: DiskQuotas, row: QuotaKey, wanted: QuotaSpec) -> str:
    try:
        disk.set(wanted.path, row.uid, wanted.quota, system=row.system)
    except (OSError, HostError) as error:
        return str(error).partition("\n")[0]
    return ""
