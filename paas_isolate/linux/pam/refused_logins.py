"""The processes that sshd makes for a login: recognising one, and ending it together with the sshd that waits for it.

A customer cannot imitate one: its program is a file of root's, and its parent is an sshd that runs as root.
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
_LISTEN = "0A"  # TCP_LISTEN, as /proc/net/tcp prints it


def seconds(pid: int, identity: Identity) -> float:
    """How many seconds ago sshd made this process for a login; -1.0 for any other process.

    The parent is checked first: a customer may run a program called sshd from a file system that never answers.
    """
    if not (_is_sshd_as_root(identity.parent) and _is_roots_sshd(pid)):
        return -1.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - identity.start / _TICKS)


def end(process: Process) -> None:
    """Send SIGKILL to a process of sshd's, and SIGTERM to its parent when that sshd serves only this connection.
    ProcessLookupError when the process has ended, or its pid belongs to another one."""
    pinned = os.pidfd_open(process.pid)
    try:
        identity = procfs.identity(process.pid)
        if identity is None or identity.start != process.start or seconds(process.pid, identity) < 0:
            raise ProcessLookupError
        parent = _pinned(identity.parent)
        try:
            signal.pidfd_send_signal(pinned, signal.SIGKILL)
            has_ended(pinned, within=_SECONDS)
            if parent >= 0 and _is_of_one_connection(identity.parent):
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
    """Whether its program is called sshd and is a file of root's."""
    try:
        return procfs.program(pid) in SSHD and os.stat(f"{ROOT}/{pid}/exe").st_uid == 0
    except OSError:
        return False


def _is_sshd_as_root(pid: int) -> bool:
    identity = procfs.identity(pid)
    return identity is not None and set(identity.uids) == {0} and _is_roots_sshd(pid)


def _is_of_one_connection(pid: int) -> bool:
    """Whether it is an sshd whose parent is the listening sshd, and does not listen itself."""
    identity = procfs.identity(pid)
    return identity is not None and _is_sshd_as_root(pid) and _is_sshd_as_root(identity.parent) and not _listens(pid)


def _listens(pid: int) -> bool:
    """Whether it listens on a TCP socket. True when that cannot be read."""
    try:
        links = [os.readlink(f"{ROOT}/{pid}/fd/{fd}") for fd in os.listdir(f"{ROOT}/{pid}/fd")]
        listening = {inode for family in ("tcp", "tcp6") for inode in _listening(f"{ROOT}/{pid}/net/{family}")}
    except OSError:
        return True
    return any(link.startswith("socket:[") and link[8:-1] in listening for link in links)


def _listening(table: str) -> list[str]:
    """Inodes of the listening sockets in a table (proc_pid_net(5), /proc/net/tcp)."""
    if not os.path.exists(table):
        return []
    with open(table, encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return [row[9] for row in rows if row[3] == _LISTEN]
