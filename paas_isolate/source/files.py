"""Reads a specification only when nobody but its owner can have written it."""

import os
import stat
from typing import NamedTuple

from paas_isolate.errors import Complaint
from paas_isolate.spec.names import SIZE_CAP, shown_file

Identity = tuple[int, int, int, int, int, int, int]
"""st_dev, st_ino, st_mtime_ns, st_ctime_ns, st_size, st_uid and st_mode of a file (stat(3type))."""

TRIES = 3
TICK = 20_000_000
"""Nanoseconds. The kernel takes a file's times from a clock that ticks every 10 ms at most (CONFIG_HZ=100)."""
WHOLE_SECONDS = 2_000_000_000
"""Nanoseconds. Some file systems store whole seconds, FAT every second one: their ctime has no fraction."""


class UnfitError(Exception):
    """A file that must not be used, with the complaint. Never leaves this package."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


class SafeDirectory(NamedTuple):
    """The files of one open directory. `shown` is its name in complaints (`accounts.d/`), `path` its name in the
    commands that they suggest, `owner` the uid that every file must belong to."""

    descriptor: int
    shown: str
    path: str
    owner: int

    def shown_name(self, name: str) -> str:
        """The file's name in complaints."""
        return self.shown + shown_file(name)

    def read(self, name: str) -> tuple[bytes, Identity]:
        """The content, with the identity that the file had before and after. Raises UnfitError where the file is not
        trusted, too large, unreadable or being written; FileNotFoundError where there is none."""
        for _ in range(TRIES):
            before, data, after = self._read_once(name)
            if identity(before) == identity(after) and len(data) == after.st_size:
                return data, identity(after)
        raise self._unfit(name, "changes while it is read; write to another name, then rename")

    def _read_once(self, name: str) -> tuple[os.stat_result, bytes, os.stat_result]:
        descriptor = self._open(name)
        try:
            before = os.fstat(descriptor)
            self._check(name, before)
            data = b""
            while len(data) <= SIZE_CAP and (more := os.read(descriptor, SIZE_CAP + 1 - len(data))):
                data += more
            return before, data, os.fstat(descriptor)
        except OSError as error:
            raise self._unfit(name, f"cannot be read: {os.strerror(error.errno or 0)}") from None
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        # O_NONBLOCK: without it, opening a fifo waits for a writer (fifo(7))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            return os.open(name, flags, dir_fd=self.descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._check(name, os.stat(name, dir_fd=self.descriptor, follow_symlinks=False))
            raise self._unfit(name, f"cannot be read: {os.strerror(error.errno or 0)}") from None

    def _check(self, name: str, status: os.stat_result) -> None:
        path = os.path.join(self.path, name)
        if not stat.S_ISREG(status.st_mode):
            raise self._unfit(name, f"is {_kind(status.st_mode)}; expected a regular file")
        if status.st_uid != self.owner:
            text = (
                f"belongs to uid {status.st_uid}; expected {_owner(self.owner)}; run: chown {_owner(self.owner)} {path}"
            )
            raise self._unfit(name, text)
        if status.st_mode & 0o022:
            text = f"may be written by others (mode {stat.S_IMODE(status.st_mode):04o}); run: chmod go-w {path}"
            raise self._unfit(name, text)
        if status.st_nlink > 1:
            text = f"has {status.st_nlink} hard links; expected one; run: cp {path} {path}.new && mv {path}.new {path}"
            raise self._unfit(name, text)
        if status.st_size > SIZE_CAP:
            raise self._unfit(name, f"has {status.st_size} bytes; expected at most {SIZE_CAP // 1024}K")

    def _unfit(self, name: str, text: str) -> UnfitError:
        return UnfitError(Complaint(self.shown_name(name), text))


def identity(status: os.stat_result) -> Identity:
    """It changes whenever the content, or whether the file is trusted, may have changed."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_uid,
        status.st_mode,
    )


def settled(of: Identity, now: int) -> bool:
    """Whether every later change must show in the identity. `now` is the time in ns before the file was read.

    A file that is written twice within a tick of the clock has the same times after both (git's racy-git.txt). ctime
    decides, for the owner of a file can set its mtime.
    """
    ctime = of[3]
    return ctime + (TICK if ctime % 1_000_000_000 else WHOLE_SECONDS) < now


def _owner(uid: int) -> str:
    return "root" if uid == 0 else str(uid)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "a device, fifo or socket"
