"""Moving processes and asking them to end, safely while they end and the kernel reuses their pids. See
pidfd_open(2)."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from paas_isolate.linux.cgroup.tree import PROCS, CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.model.world import Process


class ProcessChanged(Exception):  # noqa: N818  (an outcome, not an error)
    """The pid belongs to another process now, or the process has other uids or another cgroup than when it was
    observed. It is left alone; the next pass decides about it."""


def move(tree: CgroupTree, process: Process, to: str) -> None:
    """Move exactly the process that was observed into the cgroup `to`, a path of `tree`.

    Raises ProcessLookupError when it has ended, ProcessChanged when it is not what was observed, and OSError when the
    kernel refuses. A pidfd keeps the process, but does not keep its pid from being reused, and cgroup.procs takes only
    pids. So nothing may take time between check and write; and if the process has ended all the same, the process that
    has its pid now is moved back.
    """
    pinned = os.pidfd_open(process.pid)
    try:
        with _realtime(tree):
            start = _checked(tree, process, pinned)
            tree.attach(to, process.pid)
        if has_ended(pinned):
            _put_back(tree, process.pid, start, to)
            raise ProcessLookupError
    finally:
        os.close(pinned)


def _checked(tree: CgroupTree, process: Process, pinned: int) -> int:
    """The start time of the process, if it is alive and still what was observed."""
    identity = procfs.identity(process.pid)
    if identity is None or not identity.alive:
        raise ProcessLookupError
    same = process.start in (0, identity.start) and {process.uid, *process.others}.issuperset(identity.uids)
    if not same or _cgroup_of(tree, identity.thread) != process.cgroup:
        raise ProcessChanged
    if has_ended(pinned):
        raise ProcessLookupError
    return identity.start


@contextmanager
def _realtime(tree: CgroupTree) -> Iterator[None]:
    """While the block runs, no other process runs on this core, and a write to cgroup.procs does not wait.

    Such a write waits for an RCU grace period, some ten milliseconds in which pids are reused, before the kernel looks
    up the pid. It does not wait when another write has just waited (kernel/cgroup/cgroup.c, cgroup_procs_write_start;
    kernel/rcu/sync.c). So we first write our own pid to the cgroup that we are in.
    """
    with ExitStack() as undo:
        with suppress(OSError):  # in a container, or with SystemCallFilter=: a reused pid is then only more likely
            before = os.sched_getscheduler(0), os.sched_getparam(0)
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            undo.callback(os.sched_setscheduler, 0, *before)
        warm_rcu(tree)
        yield


def warm_rcu(tree: CgroupTree) -> None:
    """Write our own pid to our own cgroup: for one grace period, writes to cgroup.procs do not wait for one."""
    with RcuWarmer(tree) as warmer:
        warmer.keep()


class RcuWarmer:
    """`warm_rcu` again and again, by one system call each time. Only for a short time: meanwhile every fork takes a
    slower path (percpu_down_read), and if this process is moved to another cgroup, the next write moves it back."""

    def __init__(self, tree: CgroupTree) -> None:
        here = procfs.cgroup(os.getpid())
        self._procs = -1
        if here and not here.startswith("/.."):  # our cgroup namespace does not show the path of our cgroup
            with suppress(OSError):
                self._procs = tree.opened(tree.path_of(here), PROCS)

    def __enter__(self) -> "RcuWarmer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor that is written to; -1 when there is none, and `keep` does nothing."""
        return self._procs

    def keep(self) -> None:
        with suppress(OSError):
            os.write(self._procs, b"0")

    def close(self) -> None:
        if self._procs >= 0:
            os.close(self._procs)
            self._procs = -1


def _put_back(tree: CgroupTree, pid: int, start: int, to: str) -> None:
    """Move the process that has the pid now to its parent's cgroup, in which it was most likely started. Nothing is
    done for an orphan, whose first parent is not known."""
    now = procfs.identity(pid)
    if now is None or now.start == start or now.parent <= 1 or _cgroup_of(tree, now.thread) != to:
        return
    parent = _cgroup_of(tree, now.parent)
    if parent and parent != to:
        with suppress(ProcessLookupError):
            tree.attach(parent, pid)


def _cgroup_of(tree: CgroupTree, pid: int) -> str:
    """'' when the process has ended."""
    return tree.path_of(procfs.cgroup(pid) or "")


def has_ended(pinned: int, *, within: float = 0.0) -> bool:
    """Whether the process of a pidfd has ended, or ends within so many seconds: all its threads, and not only the
    first, which is then a zombie (pidfd_open(2))."""
    poll = select.poll()
    poll.register(pinned, select.POLLIN)
    return bool(poll.poll(within * 1000))


def request_stop(pid: int) -> None:
    """Send SIGTERM to a process whose real uid is not root's. SIGCONT follows, so that a stopped process (SIGSTOP) gets
    it at once; a frozen one gets it when it is thawed. Nothing happens when the process has ended."""
    try:
        pinned = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        identity = procfs.identity(pid)
        if identity is not None and identity.uids[0] != 0:
            signal.pidfd_send_signal(pinned, signal.SIGTERM)
            signal.pidfd_send_signal(pinned, signal.SIGCONT)
    except ProcessLookupError:
        pass
    finally:
        os.close(pinned)
