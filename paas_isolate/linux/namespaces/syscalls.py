"""The system calls for mounts and namespaces that Python 3.11 lacks: mount(2), umount2(2), unshare(2), setns(2),
pivot_root(2), ioctl_ns(2). Each raises OSError with the path or a word for what it was about."""

import ctypes
import errno
import fcntl
import os
from typing import NamedTuple

RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
REMOUNT, BIND, REC = 32, 4096, 16384
PRIVATE, SLAVE = 1 << 18, 1 << 19
SAFE = NOSUID | NODEV

DETACH = 2
_NEWNS = 0x00020000
_NS_GET_USERNS, _NS_GET_NSTYPE = 0xB701, 0xB703
_LIBC = ctypes.CDLL(None, use_errno=True)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
"""The number of the system call by machine (os.uname)."""


class FileId(NamedTuple):
    """Which file lies at a path."""

    device: int
    inode: int


def file_id(path: str) -> FileId | None:
    """None where there is no file. Symbolic links are not followed."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return FileId(status.st_dev, status.st_ino)


def mount(source: str, at: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """`kind` is the type of the file system, `data` its options."""
    what, where = os.fsencode(source), os.fsencode(at)
    _check(_LIBC.mount(what, where, kind.encode() or None, ctypes.c_ulong(flags), data.encode()), at)


def bind(source: str, at: str, flags: int = 0) -> None:
    """A bind mount. Its flags take a second call: the first ignores them (mount(2))."""
    mount(source, at, flags=BIND)
    if flags:
        mount("", at, flags=REMOUNT | BIND | flags)


def unmount(at: str) -> None:
    """Lazily (MNT_DETACH): new look-ups do not reach it; processes that use it keep it until they end."""
    _check(_LIBC.umount2(os.fsencode(at), DETACH), at)


def unshare() -> None:
    """Enter a copy of the mount namespace. What the host mounts later appears in it, and not the other way round."""
    _check(_LIBC.unshare(_NEWNS), "a mount namespace")
    mount("", "/", flags=REC | SLAVE)


def enter(namespace: int) -> None:
    """Enter the mount namespace of this handle."""
    _check(_LIBC.setns(namespace, _NEWNS), "a mount namespace")


def become_root(new: str, old: str) -> None:
    """Make the mount at `new` the root; the old root is at `old` then (pivot_root(2))."""
    if (number := _PIVOT_ROOT.get(os.uname().machine)) is None:
        raise OSError(errno.ENOSYS, f"pivot_root(2) has no known number on {os.uname().machine}")
    _check(_LIBC.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old)), new)


def open_namespace(path: str) -> int:
    """The handle of a mount namespace that root has made. OSError where the path leads to anything else. The same check
    as in pam/common/view.c."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if fcntl.ioctl(handle, _NS_GET_NSTYPE) != _NEWNS:
            raise OSError(22, "is no mount namespace", path)
        owner = fcntl.ioctl(handle, _NS_GET_USERNS)
        theirs, ours = os.fstat(owner), os.stat("/proc/self/ns/user")
        os.close(owner)
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            raise PermissionError(1, "is not root's", path)
    except OSError:
        os.close(handle)
        raise
    return handle


def _check(answer: int, about: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)
