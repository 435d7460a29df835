"""Moving a process that may end, and whose pid may be given away, while we move it. See pidfd_open(2)."""

import os
import select

from paas_isolate.linux import procfs
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.model.world import Process


class Changed(Exception):  # noqa: N818  (an outcome, not an error)
    """The pid is another process now, or it is not what it was: leave it alone, the next look sees it."""


def move(tree: CgroupTree, process: Process, to: str) -> None:
    """Put exactly this process into a cgroup, or raise: ProcessLookupError (ended), Changed, OSError.

    The descriptor pins the process; what is read while it is pinned is true of it; and when it is still alive
    after the write, the pid that was written was its own.
    """
    pinned = os.pidfd_open(process.pid)
    try:
        found = procfs.identity(process.pid)
        if found is None or not found.alive or _ended(pinned):
            raise ProcessLookupError
        same = process.start in (0, found.start) and found.settled and found.uids[0] == process.uid
        if not same or tree.path_of(procfs.cgroup(process.pid) or "") != process.cgroup:
            raise Changed
        tree.attach(to, process.pid)
        if _ended(pinned):
            raise ProcessLookupError
    finally:
        os.close(pinned)


def _ended(pinned: int) -> bool:
    poll = select.poll()
    poll.register(pinned, select.POLLIN)
    return bool(poll.poll(0))
