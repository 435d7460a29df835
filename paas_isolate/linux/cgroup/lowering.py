"""Lowering the memory limit of a cgroup whose processes run: by reclaim, so that the new limit kills none."""

from contextlib import suppress

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.knobs import amount
from paas_isolate.model.steps.cgroup import LowerMemory
from paas_isolate.units import format_size

RECLAIM_TRIES = 5
"""How often memory.reclaim is written before the lower limit is left pending for the next run."""


class StillInUse(Exception):  # noqa: N818  (an outcome, not an error)
    """The step must wait: what it takes away is still in use. The message says what."""


def lower_memory(cgroups: CgroupTree, step: LowerMemory) -> None:
    """Reclaim memory down to `step.value`, then write it to memory.max, which kills nothing once the use is below it.

    memory.high is at the new limit meanwhile, so that the use does not grow again. It ends as `step.high`: left below
    the use, it would slow the programs down for good (cgroup-v2.rst, memory.high). Raises StillInUse when too much
    cannot be reclaimed, with memory.max unchanged; OSError when a knob cannot be written.
    """
    goal = int(step.value)
    enough = goal - goal // 64  # room for what is charged between the last read and the write
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
    """Reclaim as long as it helps, RECLAIM_TRIES times at most: the bytes in use after that (cgroup-v2.rst,
    memory.reclaim; Linux 5.19)."""
    used = _in_use(cgroups, path)
    for _ in range(RECLAIM_TRIES):
        if used <= goal:
            break
        with suppress(BlockingIOError, FileNotFoundError):  # EAGAIN: less was reclaimed; ENOENT: an older kernel
            cgroups.write(path, "memory.reclaim", str(used - goal))
        before, used = used, _in_use(cgroups, path)
        if used >= before:
            break
    return used


def _in_use(cgroups: CgroupTree, path: str) -> int:
    return int(cgroups.read(path, "memory.current") or 0)
