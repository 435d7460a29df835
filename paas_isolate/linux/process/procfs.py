"""Reads /proc/PID: users, cgroup, program and arguments of processes. See proc(5).

A process can end between any two reads: then functions return None, '' or 0, as each says.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ROOT = "/proc"


class Identity(NamedTuple):
    """What a process cannot forge about itself.

    `start` is when it started, in clock ticks since boot (proc_pid_stat(5), starttime). `uids` are its real, effective,
    saved and file system uid (proc_pid_status(5)). `alive`: a thread of it runs; the first thread may have ended, and
    is a zombie until the last one ends. `parent` is the parent's pid. `thread` is the id of a thread that runs, in most
    cases the first: only for that one /proc has the right cgroup and program (kernel/cgroup/cgroup.c,
    cgroup_migrate_add_task leaves out threads that have ended).
    """

    start: int
    uids: tuple[int, int, int, int]
    alive: bool
    parent: int = 0
    thread: int = 0

    @property
    def settled(self) -> bool:
        """Whether all four uids are the same: it is no set-uid program, and no daemon that acts as a user for a
        while."""
        return len(set(self.uids)) == 1


def effective_uids() -> Iterator[tuple[int, int]]:
    """(pid, effective uid) of every process. The owner of /proc/PID has the effective uid, of undumpable processes too
    (fs/proc/base.c, task_dump_owner)."""
    stat = os.stat
    for name in os.listdir(ROOT):
        if name.isdecimal():
            try:
                yield int(name), stat(f"{ROOT}/{name}").st_uid
            except (FileNotFoundError, ProcessLookupError):
                continue


def effective_uid(pid: int) -> int | None:
    """The effective uid of a process; None when it has ended."""
    try:
        return os.stat(f"{ROOT}/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None


def identity(pid: int) -> Identity | None:
    """None when the process has ended and its parent has waited for it."""
    status, stat = _read(pid, "status"), _read(pid, "stat")
    if not status or not stat:
        return None
    fields = _fields(stat)
    thread = pid if fields[_STATE] not in _ENDED else _other_thread(pid) if int(fields[_THREADS]) > 1 else 0
    if thread not in (0, pid):  # each thread has uids of its own, and those of an ended one no longer count
        status = _read(thread, "status") or status
    after = status.partition("\nUid:")[2].split(None, 4)
    real, effective, saved, file_system = map(int, after[:4])
    uids = real, effective, saved, file_system
    return Identity(int(fields[_START]), uids, alive=thread > 0, parent=int(fields[_PARENT]), thread=thread or pid)


_STATE, _PARENT, _THREADS, _START = 0, 1, 17, 19
_ENDED = "ZX"


def _fields(stat: str) -> list[str]:
    """The fields from the state on. The name before them may have spaces and parentheses, so the last one counts."""
    return stat.rpartition(")")[2].split()


def _other_thread(pid: int) -> int:
    """A thread that runs, of a process whose first thread has ended; 0 when none runs."""
    try:
        threads = map(int, os.listdir(f"{ROOT}/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    others = (thread for thread in threads if thread != pid)
    return next(
        (other for other in others if (stat := _read(other, "stat")) and _fields(stat)[_STATE] not in _ENDED), 0
    )


def without_leader(threads: Iterable[int]) -> Iterator[int]:
    """The pids of those processes, among these threads', whose first thread has ended while another one runs."""
    for pid in {_process_of(thread) for thread in threads}:
        if pid and (found := identity(pid)) and found.thread not in (0, pid):
            yield pid


def _process_of(thread: int) -> int:
    status = _read(thread, "status") or ""
    return int((status.partition("\nTgid:")[2].split(None, 1) or ["0"])[0])


def cgroup(pid: int) -> str | None:
    """The absolute path of its cgroup in the cgroup2 hierarchy (cgroups(7), /proc/PID/cgroup). The path of a removed
    cgroup ends in ` (deleted)`. None when the process has ended."""
    for line in (_read(pid, "cgroup") or "").split("\n"):  # not splitlines(): a cgroup's name may have a \r
        if line.startswith("0::"):
            return line[3:]
    return None


def program(pid: int) -> str:
    """The base name of its executable; '' for a kernel thread, which has none, and when the process has ended."""
    try:
        target = os.readlink(f"{ROOT}/{pid}/exe")
    except OSError:
        return ""
    return os.path.basename(target.removesuffix(" (deleted)"))


def command(pid: int) -> str:
    """Its arguments, joined by spaces; '' when it has none or has ended. May wait without end: the process can lock the
    memory that its arguments are in (see commands.py)."""
    return (_read(pid, "cmdline") or "").rstrip("\0").replace("\0", " ")


def mount_namespace(pid: int) -> int:
    """The inode of its mount namespace, which names the namespace; 0 when it has ended."""
    try:
        return os.stat(f"{ROOT}/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def name(pid: int) -> str:
    """Its name, 15 bytes at most (proc_pid_comm(5)): by default the program's, but a process can change it. '' when it
    has ended."""
    return (_read(pid, "comm") or "").rstrip("\n")


def _read(pid: int, file: str) -> str | None:
    try:
        fd = os.open(f"{ROOT}/{pid}/{file}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(fd)
