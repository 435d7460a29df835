"""Killing all processes of one uid in one cgroup, and no other process there."""

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
"""How long `end_of_uid` tries."""


def end_of_uid(cgroups: CgroupTree, path: str, uid: int) -> None:
    """Send SIGKILL to the processes of `uid` in the cgroup `path` until none is left. A process counts when any of its
    uids is `uid`. Nothing happens when the cgroup does not exist.

    Raises StillInUse when that takes longer than a second: a process in state D, or one with hardly any CPU time left
    to exit in. The cgroup is frozen meanwhile, so that no process forks faster than it is killed; SIGKILL works on a
    frozen process (cgroup-v2.rst, cgroup.freeze).
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
    """Kill those that are there now, and wait until they have ended, until `deadline` at the latest. How many there
    were."""
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
    identity = procfs.identity(pid)
    return identity is not None and uid in identity.uids
