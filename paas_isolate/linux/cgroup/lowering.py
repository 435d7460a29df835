"""A lower memory limit for those who are at work: by reclaim, never by killing."""

from contextlib import suppress

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.knobs import amount
from paas_isolate.model.steps.cgroup import LowerMemory
from paas_isolate.units import format_size

RECLAIM_TRIES = 5
"""How often memory.reclaim is asked before a lower limit is left pending for the next run."""


class StillInUse(Exception):  # noqa: N818  (an outcome, not an error)
    """The step would do harm now."""


def lower_memory(cgroups: CgroupTree, step: LowerMemory) -> None:
    """Down by memory.high and memory.reclaim, then memory.max, which kills nothing once the use is below it.

    memory.high is only borrowed: left below what is used, it would stall the programs for good instead
    (Documentation/admin-guide/cgroup-v2.rst, memory.high).
    """
    goal = int(step.value)
    enough = goal - goal // 64  # room for what is charged between the last look and the write
    high = cgroups.read(step.path, "memory.high") or "max"
    if amount(high) > goal:
        cgroups.write(step.path, "memory.high", step.value)
    try:
        used = _reclaim(cgroups, step.path, enough)
        if used > enough:
            raise StillInUse(f"{format_size(used)} are in use and cannot be reclaimed down to {format_size(goal)}")
        cgroups.write(step.path, "memory.max", step.value)
    finally:
        cgroups.write(step.path, "memory.high", step.high)


def _reclaim(cgroups: CgroupTree, path: str, goal: int) -> int:
    """Bytes in use after asking for less, as often as that helps (memory.reclaim, Linux 5.19)."""
    used = _in_use(cgroups, path)
    for _ in range(RECLAIM_TRIES):
        if used <= goal:
            break
        with suppress(BlockingIOError, FileNotFoundError):  # less was had than asked for, or an older kernel
            cgroups.write(path, "memory.reclaim", str(used - goal))
        before, used = used, _in_use(cgroups, path)
        if used >= before:
            break
    return used


def _in_use(cgroups: CgroupTree, path: str) -> int:
    return int(cgroups.read(path, "memory.current") or 0)
