"""The hands of quotas, with a memory: a row of a file system does not tell who has set it."""

from collections.abc import Iterable, Mapping

from paas_isolate.errors import HostError
from paas_isolate.linux import filesystems
from paas_isolate.linux.quotas import DiskQuotas
from paas_isolate.model.quota import UNLIMITED, Allotment, FileSystem, Memory, Quota, Quotas, Row


class QuotaHands:
    """What is given is remembered before it is set: of a run that is killed between the two, the memory has a row too
    many, never one too few."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def look(self, sold: Mapping[int, Allotment]) -> Quotas:
        """Of those who were sold some, and of those who had some."""
        disk = DiskQuotas()
        allowed: dict[Row, Quota] = {}
        systems: dict[str, FileSystem] = {}
        unable: dict[str, str] = {}
        for uid, it in sold.items():
            try:
                system, usage = disk.found(it.path, uid)
                systems[it.path] = system
                allowed[Row(system.name, uid)] = usage.allowed
            except (OSError, HostError) as error:
                unable[it.directory] = str(error)
        given = self._memory.load()
        points = dict(_points(row for row in given if row not in allowed))
        for row, point in tuple(points.items()):
            try:
                allowed[row] = disk.found(point, row.uid)[1].allowed
            except (OSError, HostError):
                del points[row]
        return Quotas(allowed=allowed, systems=systems, unable=unable, given=given, points=points)

    def set(self, wanted: Mapping[Row, Allotment]) -> list[str]:
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

    def lift_all(self) -> tuple[int, list[Row]]:
        """For who leaves: how many were lifted, and what is given still, for nobody can reach it now."""
        before = self.look({})
        self.set({row: Allotment(before.given[row], point, UNLIMITED) for row, point in before.points.items()})
        after = self.look({})
        left = [row for row in after.given if after.allowed.get(row) != UNLIMITED]
        self._memory.save({row: after.given[row] for row in left})
        return len(before.given) - len(left), left


def _points(rows: Iterable[Row]) -> Iterable[tuple[Row, str]]:
    rows = tuple(rows)
    found = filesystems.points({row.system for row in rows})
    return ((row, found[row.system]) for row in rows if row.system in found)


def _set(disk: DiskQuotas, row: Row, wanted: Allotment) -> str:
    try:
        disk.set(wanted.path, row.uid, wanted.quota, system=row.system)
    except (OSError, HostError) as error:
        return str(error).partition("\n")[0]
    return ""
