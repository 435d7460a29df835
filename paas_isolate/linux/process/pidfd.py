"""Moving a process that may end, and whose pid may be given away, while we move it; asking one to end. See
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
    """The pid is another process now, or it is not what it was: leave it alone, the next look sees it."""


def move(tree: CgroupTree, process: Process, to: str) -> None:
    """Put exactly this process into a cgroup, or raise: ProcessLookupError (ended), Changed, OSError.

    The descriptor pins the process, but not its number, and the kernel takes only numbers. So between the check and
    the write nothing may take time; and when the process has ended after all, whoever has its number now is put back.
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
    """When it started, if it is the process that is meant, where it was and alive."""
    found = procfs.identity(process.pid)
    if found is None or not found.alive:
        raise ProcessLookupError
    same = process.start in (0, found.start) and {process.uid, *process.others}.issuperset(found.uids)
    if not same or _where(tree, found.thread) != process.cgroup:
        raise ProcessChanged
    if has_ended(pinned):
        raise ProcessLookupError
    return found.start


@contextmanager
def _realtime(tree: CgroupTree) -> Iterator[None]:
    """Until the end nobody else runs on this core, and a write into cgroup.procs does not wait.

    It waits for a grace period, ten milliseconds in which pids go round, before the kernel looks the number up; not
    so if another write has just waited (kernel/cgroup/cgroup.c, cgroup_procs_write_start; kernel/rcu/sync.c). That
    other one is ours, of ourselves to where we are.
    """
    with ExitStack() as undo:
        with suppress(OSError):  # a container, a unit with a SystemCallFilter=: then it is only less likely
            before = os.sched_getscheduler(0), os.sched_getparam(0)
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            undo.callback(os.sched_setscheduler, 0, *before)
        warm_rcu(tree)
        yield


def warm_rcu(tree: CgroupTree) -> None:
    """Write ourselves to where we are: for one grace period the next write does not wait for one."""
    with RcuWarmer(tree) as kept:
        kept.keep()


class RcuWarmer:
    """The same again and again, one system call each time. Not for long: whoever forks meanwhile takes a slower way
    (percpu_down_read), and a process that somebody moves elsewhere would come back."""

    def __init__(self, tree: CgroupTree) -> None:
        here = procfs.cgroup(os.getpid())
        self._procs = -1
        if here and not here.startswith("/.."):  # seen from another cgroup namespace it is not told
            with suppress(OSError):
                self._procs = tree.opened(tree.path_of(here), PROCS)

    def __enter__(self) -> "RcuWarmer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Of what is written to; below 0 where nothing is."""
        return self._procs

    def keep(self) -> None:
        with suppress(OSError):
            os.write(self._procs, b"0")

    def close(self) -> None:
        if self._procs >= 0:
            os.close(self._procs)
            self._procs = -1


def _put_back(tree: CgroupTree, pid: int, start: int, to: str) -> None:
    """Whoever has the pid now goes to where its parent is, for there most begin; an orphan's is not known any more."""
    now = procfs.identity(pid)
    if now is None or now.start == start or now.parent <= 1 or _where(tree, now.thread) != to:
        return
    parent = _where(tree, now.parent)
    if parent and parent != to:
        with suppress(ProcessLookupError):
            tree.attach(parent, pid)


def _where(tree: CgroupTree, pid: int) -> str:
    """Empty when it is gone."""
    return tree.path_of(procfs.cgroup(pid) or "")


def has_ended(pinned: int, *, within: float = 0.0) -> bool:
    """Whether the process of a pidfd has ended, or ends within so many seconds: all its threads, and not only the
    first, which is then a zombie (pidfd_open(2))."""
    poll = select.poll()
    poll.register(pinned, select.POLLIN)
    return bool(poll.poll(within * 1000))


def request_stop(pid: int) -> None:
    """SIGTERM to exactly this process, if it is not root's. A stopped one is woken for it, a frozen one gets it when it
    thaws."""
    try:
        pinned = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        found = procfs.identity(pid)
        if found is not None and found.uids[0] != 0:
            signal.pidfd_send_signal(pinned, signal.SIGTERM)
            signal.pidfd_send_signal(pinned, signal.SIGCONT)
    except ProcessLookupError:
        pass
    finally:
        os.close(pinned)
