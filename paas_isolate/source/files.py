"""One specification file, read only when nobody but its owner can have written it."""

import os
import stat
from typing import NamedTuple

from paas_isolate.errors import Complaint
from paas_isolate.spec.names import SIZE_CAP, shown_file

Identity = tuple[int, int, int, int, int, int, int]

TRIES = 3
# The kernel stamps files from a clock that ticks every 10 ms at worst (CONFIG_HZ=100); a file system that keeps
# whole seconds (or two, FAT) shows it by a ctime without a fraction.
TICK = 20_000_000
WHOLE_SECONDS = 2_000_000_000


class UnfitError(Exception):
    """A file that must not be used, with the complaint. Never leaves this room."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


class SafeDirectory(NamedTuple):
    """The files of one directory, by descriptor. `shown` is how complaints begin (`accounts.d/`), `path` what
    commands to mend need."""

    descriptor: int
    shown: str
    path: str
    owner: int

    def told(self, name: str) -> str:
        """What complaints call a file."""
        return self.shown + shown_file(name)

    def read(self, name: str) -> tuple[bytes, Identity]:
        """The content, with the identity that it was read under. Raises UnfitError; FileNotFoundError when gone."""
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
        # O_NONBLOCK: a fifo of that name would else wait for its writer for ever
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            return os.open(name, flags, dir_fd=self.descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            self._check(name, found)
            raise self._unfit(name, f"cannot be read: {os.strerror(error.errno or 0)}") from None

    def _check(self, name: str, found: os.stat_result) -> None:
        path = os.path.join(self.path, name)
        if not stat.S_ISREG(found.st_mode):
            raise self._unfit(name, f"is {_kind(found.st_mode)}; expected a regular file")
        if found.st_uid != self.owner:
            text = (
                f"belongs to uid {found.st_uid}; expected {_owner(self.owner)}; run: chown {_owner(self.owner)} {path}"
            )
            raise self._unfit(name, text)
        if found.st_mode & 0o022:
            text = f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o}); run: chmod go-w {path}"
            raise self._unfit(name, text)
        if found.st_nlink > 1:
            text = f"has {found.st_nlink} hard links; expected one; run: cp {path} {path}.new && mv {path}.new {path}"
            raise self._unfit(name, text)
        if found.st_size > SIZE_CAP:
            raise self._unfit(name, f"has {found.st_size} bytes; expected at most {SIZE_CAP // 1024}K")

    def _unfit(self, name: str, text: str) -> UnfitError:
        return UnfitError(Complaint(self.told(name), text))


def identity(found: os.stat_result) -> Identity:
    """What changes whenever the content or its trustworthiness may have."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_size,
        found.st_uid,
        found.st_mode,
    )


def settled(of: Identity, now: int) -> bool:
    """Whether a later change must show in the identity; `now` is from before the file was read.

    A file that is written twice within a tick of the clock looks the same both times (git's racy-git.txt).
    ctime, because everybody may set mtime.
    """
    ctime = of[3]
    return ctime + (TICK if ctime % 1_000_000_000 else WHOLE_SECONDS) < now


def _owner(uid: int) -> str:
    return "root" if uid == 0 else str(uid)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "a device, fifo or socket"
