"""What is mended at once, by what the last whole turn wanted: a cgroup that somebody has written to, a process that has
become a customer's."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterator

from paas_isolate.apply import Outcome, apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.place import Places
from paas_isolate.changes.steps import Changes, LowerMemory, Move, SetKnob
from paas_isolate.linux import procfs
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.model.account import Fleet
from paas_isolate.model.knobs import SUBTREE_CONTROL
from paas_isolate.model.world import World
from paas_isolate.observe import closely

FLIPS, MINUTE = 3, 60.0


def differing(cgroups: CgroupTree, desired: World, place: str) -> Changes | None:
    """The steps for the knobs of one cgroup; None where nothing is known of it, or it is not there."""
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


def mended(cgroups: CgroupTree, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(cgroups, steps, None, None))


def strays(cgroups: CgroupTree, fleet: Fleet, places: Places, pids: Collection[int]) -> Changes:
    """The steps that put those of them that are not in their place there."""
    steps = []
    for pid in pids:
        if (uid := procfs.effective_uid(pid)) is None or not fleet.governs(uid):
            continue
        process = closely(cgroups, pid)
        moved = places.moved(process) if process else None
        if process and moved:
            steps.append(Move(process, moved.cgroup))
    return tuple(steps)


class Flips:
    """How often each thing was mended lately: who is put back again and again is not fought, but told."""

    def __init__(self) -> None:
        self._times: dict[object, deque[float]] = defaultdict(deque)
        self._left: dict[object, float] = {}

    def more_than_enough(self, thing: object, now: float) -> bool:
        """Whether this would be one more than FLIPS within a MINUTE; it is counted."""
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
