"""The steps that repair one target at once: a cgroup to which somebody has written, a process that has become a
customer's."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator

from paas_isolate.changes.diff import diff
from paas_isolate.changes.placement import Placement
from paas_isolate.changes.refusals import as_refused
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.commands import CommandReader
from paas_isolate.model.knobs import SUBTREE_CONTROL
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import LowerMemory, MoveProcess, SetKnob
from paas_isolate.model.world import DesiredWorld, ObservedWorld
from paas_isolate.observe import inspect_process, with_commands

FLIPS, MINUTE = 3, 60.0
_MANY = 1000
"""Targets that are remembered before old ones are forgotten."""


def differing(cgroups: CgroupTree, desired: DesiredWorld, place: str) -> Changes | None:
    """The steps for the knobs of one cgroup; None where `desired` does not have it, or it is not there."""
    wanted = {knob: value for knob, value in desired.cgroups.get(place, {}).items() if knob != SUBTREE_CONTROL}
    looked = cgroups.look(place, tuple(wanted)) if wanted else None
    if looked is None:
        return None
    found, _ = looked
    members = dict(_members(cgroups, desired, place)) if found.get("memory.max") != wanted.get("memory.max") else {}
    steps = diff(DesiredWorld({place: wanted}), ObservedWorld({place: found}, members=members))
    return tuple(step for step in steps if isinstance(step, SetKnob | LowerMemory))


def _members(cgroups: CgroupTree, desired: DesiredWorld, place: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The cgroups at and below `place` with their pids: what a lower limit could kill."""
    for path in desired.cgroups:
        if (path == place or path.startswith(f"{place}/")) and (looked := cgroups.look(path, ())) and looked[1]:
            yield path, looked[1]


def candidates(places: Placement, pids: Collection[int], uids: Collection[int]) -> Iterator[int]:
    """The pids of processes that may be strays: of `pids` those of governed users, and all processes of `uids`. A pid
    of 0 stands for all processes of all governed users."""
    if 0 in pids or uids:
        yield from (pid for pid, uid in procfs.effective_uids() if uid in uids or (0 in pids and places.governs(uid)))
    yield from (pid for pid in pids if (uid := procfs.effective_uid(pid)) is not None and places.governs(uid))


def strays(
    cgroups: CgroupTree,
    places: Placement,
    pids: Iterable[int],
    waiting: set[int] | None = None,
    commands: CommandReader | None = None,
) -> tuple[MoveProcess, ...]:
    """The steps that move those of `pids` that are not in their cgroup. Refused logins whose time is not over are added
    to `waiting`."""
    steps = []
    inspected = tuple(process for pid in pids if (process := inspect_process(cgroups, places, pid)))
    for process in with_commands(places, inspected, commands or CommandReader()):
        moved = places.correction(process)
        placed = as_refused(process, moved, lambda path: "frozen 1" in (cgroups.read(path, "cgroup.events") or ""))
        if placed:
            steps.append(MoveProcess(process, placed.cgroup))
        elif moved and waiting is not None:
            waiting.add(process.pid)
    return tuple(steps)


class RepairLimiter:
    """Counts the repairs of each target. After FLIPS repairs within a MINUTE, repair stops and the target is
    reported."""

    def __init__(self) -> None:
        self._times: dict[object, deque[float]] = defaultdict(deque)
        self._reported: dict[object, float] = {}

    def is_exceeded(self, target: object, now: float) -> bool:
        """Count one repair at `now`, in seconds; whether it is one more than FLIPS within a MINUTE."""
        if len(self._times) > _MANY:
            self._forget(now)
        times = self._times[target]
        while times and times[0] <= now - MINUTE:
            times.popleft()
        times.append(now)
        return len(times) > FLIPS

    def is_news(self, target: object, now: float) -> bool:
        """Whether the target was not reported within the last MINUTE; it counts as reported now."""
        news = now - self._reported.get(target, -MINUTE) >= MINUTE
        if news:
            self._reported[target] = now
        return news

    def _forget(self, now: float) -> None:
        for target in [each for each, times in self._times.items() if times[-1] <= now - MINUTE]:
            del self._times[target]
            self._reported.pop(target, None)
