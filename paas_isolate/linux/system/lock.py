"""The lock that lets only one run work at a time. See flock(2): the kernel releases it when its holder ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paas_isolate.errors import BusyError
from paas_isolate.linux.process import procfs

_PAUSE = 0.1
"""Seconds between two tries."""


@contextmanager
def held(path: str, *, wait: float = 0, waits: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of the file `path` while the block runs. `waits` is called once with a sentence that names the
    holder when there is one to wait for. BusyError when the lock is not free within `wait` seconds."""
    fd = _open(path)
    try:
        _acquire(fd, time.monotonic() + wait, waits if wait > 0 else None)
        yield
    finally:
        os.close(fd)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:  # tmpfiles.d has not made the directory
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return os.open(path, flags, 0o600)


def _acquire(fd: int, deadline: float, waits: Callable[[str], None] | None) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError(f"another run is at work{_holder_shown(fd)}") from None
            if waits:
                waits(f"waits for another run{_holder_shown(fd)}")
                waits = None
            time.sleep(_PAUSE)


def _holder_shown(fd: int) -> str:
    """The holder, `: process 4711 (paas-isolate reconcile)`; '' when it is not known."""
    pid = holder(fd)
    command = procfs.command(pid) if pid else ""
    return f": process {pid}" + (f" ({command[:_SHOWN]})" if command else "") if pid else ""


_SHOWN = 200
"""Characters of a command line."""


def holder(fd: int) -> int:
    """The pid of the process that has locked this file; 0 when none has, or one of another PID namespace. See
    proc_locks(5): `1: FLOCK  ADVISORY  WRITE 4711 00:17:1234 0 EOF`."""
    status = os.fstat(fd)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks]
    except OSError:
        return 0
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == place), 0)
