"""Ending what runs as one uid in one cgroup, and nothing else there."""

import os
import select
import signal
import time
from contextlib import ExitStack, suppress

from paas_isolate.linux.cgroup.lowering import StillInUse
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.pidfd import has_ended
from paas_isolate.model.knobs import FREEZE

_SECONDS = 1.0


def end_of_uid(cgroups: CgroupTree, path: str, uid: int) -> None:
    """SIGKILL, until nothing is left; Waits where that takes longer than a second (a process in state D, one that has
    hardly any CPU time to exit in).

    The cgroup is frozen meanwhile, so that nobody forks faster than it is killed: the freezer of cgroup v2 lets a
    SIGKILL through (Documentation/admin-guide/cgroup-v2.rst, cgroup.freeze).
    """
    was = cgroups.read(path, FREEZE)
    if was is None:
        return
    deadline = time.monotonic() + _SECONDS
    cgroups.write(path, FREEZE, "1")
    try:
        while left := _kill(cgroups, path, uid, deadline):
            if time.monotonic() >= deadline:
                raise StillInUse(f"{left} of its processes have not ended yet")
    finally:
        with suppress(FileNotFoundError):
            cgroups.write(path, FREEZE, was)


def _kill(cgroups: CgroupTree, path: str, uid: int, deadline: float) -> int:
    """How many there were; returns when they have ended, at the deadline at the latest."""
    with ExitStack() as undo:
        alive = select.poll()
        number = 0
        for pid in cgroups.pids(path):
            with suppress(ProcessLookupError):
                pinned = os.pidfd_open(pid)
                undo.callback(os.close, pinned)
                if _has_uid(pid, uid) and not has_ended(pinned):
                    signal.pidfd_send_signal(pinned, signal.SIGKILL)
                    alive.register(pinned, select.POLLIN)
                    number += 1
        left = number
        while left and (patience := deadline - time.monotonic()) > 0:
            for ended, _ in alive.poll(patience * 1000):
                alive.unregister(ended)
                left -= 1
        return number


def _has_uid(pid: int, uid: int) -> bool:
    found = procfs.identity(pid)
    return found is not None and uid in found.uids
