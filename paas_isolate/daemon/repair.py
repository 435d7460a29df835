"""What is mended at once, by what the last whole turn wanted: a cgroup that somebody has written to, a process that has
become a customer's."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator

from paas_isolate.apply import apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.placement import Placement
from paas_isolate.changes.refusals import as_refused
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.commands import CommandReader
from paas_isolate.model.knobs import SUBTREE_CONTROL
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import LowerMemory, MoveProcess, SetKnob
from paas_isolate.model.world import World
from paas_isolate.observe import inspect_process, with_commands

FLIPS, MINUTE = 3, 60.0
_MANY = 1000
"""Things in mind, before those of long ago are forgotten."""


def differing(cgroups: CgroupTree, desired: World, place: str) -> Changes | None:
    """The steps for the knobs of one cgroup; None where `desired` does not have it, or it is not there."""
    wanted = {knob: value for knob, value in desired.cgroups.get(place, {}).items() if knob != SUBTREE_CONTROL}
    seen = cgroups.look(place, tuple(wanted)) if wanted else None
    if seen is None:
        return None
    found, _ = seen
    members = dict(_members(cgroups, desired, place)) if found.get("memory.max") != wanted.get("memory.max") else {}
    steps = diff(World({place: wanted}), World({place: found}, members=members))
    return tuple(step for step in steps if isinstance(step, SetKnob | LowerMemory))


def _members(cgroups: CgroupTree, desired: World, place: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What would be killed by a lower limit."""
    for path in desired.cgroups:
        if (path == place or path.startswith(f"{place}/")) and (seen := cgroups.look(path, ())) and seen[1]:
            yield path, seen[1]


def apply_repairs(cgroups: CgroupTree, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(Kernel(cgroups), steps))


def candidates(places: Placement, pids: Collection[int], uids: Collection[int]) -> Iterator[int]:
    """Those of these processes that a governed user has, and all of `uids`; all of all users where a pid is 0."""
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
    """The steps that put those of them that are not in their place there. Of logins that are refused those are
    `waiting` whose time is not over."""
    steps = []
    found = tuple(process for pid in pids if (process := inspect_process(cgroups, places, pid)))
    for process in with_commands(places, found, commands or CommandReader()):
        moved = places.correction(process)
        placed = as_refused(process, moved, lambda path: "frozen 1" in (cgroups.read(path, "cgroup.events") or ""))
        if placed:
            steps.append(MoveProcess(process, placed.cgroup))
        elif moved and waiting is not None:
            waiting.add(process.pid)
    return tuple(steps)


class RepairLimiter:
    """How often each thing was mended lately: who is put back again and again is not fought, but told."""

    def __init__(self) -> None:
        self._times: dict[object, deque[float]] = defaultdict(deque)
        self._left: dict[object, float] = {}

    def more_than_enough(self, thing: object, now: float) -> bool:
        """Whether this would be one more than FLIPS within a MINUTE; it is counted."""
        if len(self._times) > _MANY:
            self._forget(now)
        times = self._times[thing]
        while times and times[0] <= now - MINUTE:
            times.popleft()
        times.append(now)
        return len(times) > FLIPS

    def is_news(self, thing: object, now: float) -> bool:
        """Whether that has not been told within the last MINUTE."""
        news = now - self._left.get(thing, -MINUTE) >= MINUTE
        if news:
            self._left[thing] = now
        return news

    def _forget(self, now: float) -> None:
        for thing in [it for it, times in self._times.items() if times[-1] <= now - MINUTE]:
            del self._times[thing]
            self._left.pop(thing, None)
