"""The system calls of mounts and namespaces that Python 3.11 lacks. See mount(2), setns(2), ioctl_ns(2)."""

import ctypes
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
_PIVOT_ROOT = {"x86_64": 155}
"""Of asm-generic/unistd.h where it is not told here."""


class FileId(NamedTuple):
    """What lies at a path: device and inode."""

    device: int
    inode: int


def file_id(path: str) -> FileId | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return FileId(found.st_dev, found.st_ino)


def mount(source: str, at: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    what, where = os.fsencode(source), os.fsencode(at)
    _check(_LIBC.mount(what, where, kind.encode() or None, ctypes.c_ulong(flags), data.encode()), at)


def bind(source: str, at: str, flags: int = 0) -> None:
    """With flags in a second call, for the first takes none."""
    mount(source, at, flags=BIND)
    if flags:
        mount("", at, flags=REMOUNT | BIND | flags)


def unmount(at: str) -> None:
    """It ends for those who come; who is in it still stays there."""
    _check(_LIBC.umount2(os.fsencode(at), DETACH), at)


def unshare() -> None:
    """Into a copy of the mount namespace, in which what the host mounts later appears, and not the other way round."""
    _check(_LIBC.unshare(_NEWNS), "a mount namespace")
    mount("", "/", flags=REC | SLAVE)


def enter(namespace: int) -> None:
    _check(_LIBC.setns(namespace, _NEWNS), "a mount namespace")


def become_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    number = _PIVOT_ROOT.get(os.uname().machine, 41)
    _check(_LIBC.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old)), new)


def open_namespace(path: str) -> int:
    """The handle of a mount namespace that root has made; OSError where it is none. As pam/common/view.c has it."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if fcntl.ioctl(handle, _NS_GET_NSTYPE) != _NEWNS:
            raise OSError(22, "is no mount namespace", path)
        owner = fcntl.ioctl(handle, _NS_GET_USERNS)
        found, ours = os.fstat(owner), os.stat("/proc/self/ns/user")
        os.close(owner)
        if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            raise PermissionError(1, "is not root's", path)
    except OSError:
        os.close(handle)
        raise
    return handle


def _check(answer: int, about: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)
