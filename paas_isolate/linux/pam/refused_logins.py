"""Children of sshd for logins: to know them, and to end one with the sshd of root that waits for it.

A customer has none: the program is root's file, and it was begun by a process of root's that is sshd as well.
"""

import os
import signal
import time
from contextlib import suppress

from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.pidfd import has_ended
from paas_isolate.linux.process.procfs import ROOT, Identity
from paas_isolate.model.world import Process

SSHD = ("sshd", "sshd-session")
_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 0.2
"""How long the end of a killed process is waited for, so that the next observation does not see it."""
_LISTEN = "0A"


def seconds(pid: int, identity: Identity) -> float:
    """For how long a process has been there that sshd has made for a login; below 0 for any other.

    The parent first: what a customer has begun may be a program called sshd on a file system that never answers.
    """
    if not (_runs_as_root(identity.parent) and _is_roots_sshd(pid)):
        return -1.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - identity.start / _TICKS)


def end(process: Process) -> None:
    """SIGKILL for it, and SIGTERM for its parent where that is there for this connection alone. ProcessLookupError when
    it has ended, or is another."""
    pinned = os.pidfd_open(process.pid)
    try:
        found = procfs.identity(process.pid)
        if found is None or found.start != process.start or seconds(process.pid, found) < 0:
            raise ProcessLookupError
        parent = _pinned(found.parent)
        try:
            signal.pidfd_send_signal(pinned, signal.SIGKILL)
            has_ended(pinned, within=_SECONDS)
            if parent >= 0 and _is_of_one_connection(found.parent):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(parent, signal.SIGTERM)
        finally:
            if parent >= 0:
                os.close(parent)
    finally:
        os.close(pinned)


def _pinned(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def _is_roots_sshd(pid: int) -> bool:
    """Whether it runs a program of root's of that name."""
    try:
        return procfs.program(pid) in SSHD and os.stat(f"{ROOT}/{pid}/exe").st_uid == 0
    except OSError:
        return False


def _runs_as_root(pid: int) -> bool:
    """And is sshd."""
    found = procfs.identity(pid)
    return found is not None and set(found.uids) == {0} and _is_roots_sshd(pid)


def _is_of_one_connection(pid: int) -> bool:
    """The sshd that listens has made it, and it does not listen itself."""
    found = procfs.identity(pid)
    return found is not None and _runs_as_root(pid) and _runs_as_root(found.parent) and not _listens(pid)


def _listens(pid: int) -> bool:
    """By TCP; also where that cannot be told."""
    try:
        links = [os.readlink(f"{ROOT}/{pid}/fd/{fd}") for fd in os.listdir(f"{ROOT}/{pid}/fd")]
        waiting = {inode for family in ("tcp", "tcp6") for inode in _waiting(f"{ROOT}/{pid}/net/{family}")}
    except OSError:
        return True
    return any(link.startswith("socket:[") and link[8:-1] in waiting for link in links)


def _waiting(table: str) -> list[str]:
    """Inodes of sockets (proc(5), /proc/net/tcp)."""
    if not os.path.exists(table):
        return []
    with open(table, encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return [row[9] for row in rows if row[3] == _LISTEN]
