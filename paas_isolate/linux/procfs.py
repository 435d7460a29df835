"""The one reader of /proc/PID: who runs, as whom, where, and what. See proc(5).

Every answer may be None: a process can end between any two looks.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from paas_isolate.model.world import Kin

ROOT = "/proc"


class Identity(NamedTuple):
    """What does not lie about a process: when it started (clock ticks since boot), and all its uids.

    `uids` are real, effective, saved and file system uid (/proc/PID/status).
    """

    start: int
    uids: tuple[int, int, int, int]
    alive: bool
    parent: int = 0

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
    # The program's name may hold spaces and parentheses: fields count from the last one.
    fields = stat.rpartition(")")[2].split()
    after = status.partition("\nUid:")[2].split(None, 4)
    real, effective, saved, file_system = map(int, after[:4])
    uids = real, effective, saved, file_system
    return Identity(int(fields[19]), uids, alive=fields[0] not in "ZX", parent=int(fields[1]))


def kin(pid: int) -> Kin | None:
    """What tells a process's children where they came from, at the price of one short file."""
    stat = _read(pid, "stat")
    if not stat:
        return None
    try:
        uid = os.stat(f"{ROOT}/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    before, _, after = stat.rpartition(")")
    return Kin(int(after.split(None, 2)[1]), uid, before.partition("(")[2])


def cgroup(pid: int) -> str | None:
    """Its cgroup v2 path in the hierarchy, absolute. A removed one ends in ` (deleted)`."""
    for line in (_read(pid, "cgroup") or "").splitlines():
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
