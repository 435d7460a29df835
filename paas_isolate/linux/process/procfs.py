"""The one reader of /proc/PID: who runs, as whom, where, and what. See proc(5).

Every answer may be None: a process can end between any two looks.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ROOT = "/proc"


class Identity(NamedTuple):
    """What does not lie about a process: when it started (clock ticks since boot), and all its uids.

    `uids` are real, effective, saved and file system uid (/proc/PID/status). `alive` is what has a running thread: the
    first one may have ended, and is a zombie until the last has. `thread` is one that runs, mostly the first. What
    /proc says of a cgroup and a program is right for that one only (kernel/cgroup/cgroup.c, cgroup_migrate_add_task
    passes over who has ended).
    """

    start: int
    uids: tuple[int, int, int, int]
    alive: bool
    parent: int = 0
    thread: int = 0

    @property
    def settled(self) -> bool:
        """One uid in all places: not a set-uid program, not a daemon that has borrowed a user's identity."""
        return len(set(self.uids)) == 1


def effective_uids() -> Iterator[tuple[int, int]]:
    """(pid, effective uid) of everything that runs: the owner of /proc/PID is that, dumpable or not
    (fs/proc/base.c, task_dump_owner)."""
    stat = os.stat
    for name in os.listdir(ROOT):
        if name.isdecimal():
            try:
                yield int(name), stat(f"{ROOT}/{name}").st_uid
            except (FileNotFoundError, ProcessLookupError):
                continue


def effective_uid(pid: int) -> int | None:
    """As `effective_uids` has it; None when it has ended."""
    try:
        return os.stat(f"{ROOT}/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None


def identity(pid: int) -> Identity | None:
    status, stat = _read(pid, "status"), _read(pid, "stat")
    if not status or not stat:
        return None
    fields = _fields(stat)
    thread = pid if fields[_STATE] not in _ENDED else _other_thread(pid) if int(fields[_THREADS]) > 1 else 0
    if thread not in (0, pid):  # each thread has uids of its own, and those of one that has ended say nothing
        status = _read(thread, "status") or status
    after = status.partition("\nUid:")[2].split(None, 4)
    real, effective, saved, file_system = map(int, after[:4])
    uids = real, effective, saved, file_system
    return Identity(int(fields[_START]), uids, alive=thread > 0, parent=int(fields[_PARENT]), thread=thread or pid)


_STATE, _PARENT, _THREADS, _START = 0, 1, 17, 19
_ENDED = "ZX"


def _fields(stat: str) -> list[str]:
    """From the state on. The program's name may hold spaces and parentheses: they count from the last one."""
    return stat.rpartition(")")[2].split()


def _other_thread(pid: int) -> int:
    """One that runs, of a process whose first thread has ended; 0 where there is none any more."""
    try:
        threads = map(int, os.listdir(f"{ROOT}/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    others = (thread for thread in threads if thread != pid)
    return next(
        (other for other in others if (stat := _read(other, "stat")) and _fields(stat)[_STATE] not in _ENDED), 0
    )


def without_leader(threads: Iterable[int]) -> Iterator[int]:
    """The processes of these threads of which the first thread has ended, while others run."""
    for pid in {_process_of(thread) for thread in threads}:
        if pid and (found := identity(pid)) and found.thread not in (0, pid):
            yield pid


def _process_of(thread: int) -> int:
    status = _read(thread, "status") or ""
    return int((status.partition("\nTgid:")[2].split(None, 1) or ["0"])[0])


def cgroup(pid: int) -> str | None:
    """Its cgroup v2 path in the hierarchy, absolute. A removed one ends in ` (deleted)`."""
    for line in (_read(pid, "cgroup") or "").split("\n"):  # a delegated cgroup's name may have any other character
        if line.startswith("0::"):
            return line[3:]
    return None


def program(pid: int) -> str:
    """The base name of its executable, '' for what has none (a kernel thread) or has ended."""
    try:
        target = os.readlink(f"{ROOT}/{pid}/exe")
    except OSError:
        return ""
    return os.path.basename(target.removesuffix(" (deleted)"))


def command(pid: int) -> str:
    """Its command line, arguments joined by spaces."""
    return (_read(pid, "cmdline") or "").rstrip("\0").replace("\0", " ")


def mount_namespace(pid: int) -> int:
    """The inode of the one that it is in; 0 when it has ended."""
    try:
        return os.stat(f"{ROOT}/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def name(pid: int) -> str:
    """What people call it: the name of the program, or of the kernel thread."""
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
