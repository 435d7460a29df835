"""Counters of a cgroup, in "flat keyed" files: a line `KEY VALUE` for each (cgroup-v2.rst, Interface Files)."""

from paas_isolate.linux.cgroup.tree import CgroupTree


def flat_keyed(text: str | None) -> dict[str, int]:
    """The values by key; {} for None, which is a file that is not there. ValueError for text of another format."""
    return {key: int(value) for key, value in (line.split() for line in (text or "").splitlines())}


def oom_kills(cgroups: CgroupTree, path: str) -> int:
    """How many processes of a cgroup, and of those below it, the kernel's OOM killer has killed (cgroup-v2.rst,
    memory.events, oom_kill), one of each group twice (metering.reading.killed). 0 when the cgroup is gone or has no
    memory controller."""
    return flat_keyed(cgroups.read(path, "memory.events")).get("oom_kill", 0)
