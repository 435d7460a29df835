"""The end of a log file that a customer writes, read by root with the customer's rights.

A process that runs as the customer can be taken over by the customer's other processes (ptrace(2)), with the terminal,
the keys and the descriptors that root has given it. So root's own process opens the file, as the customer.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from paas_isolate.model.account import User

MOST = 16 << 20
"""Bytes that are read at most to find the last lines: a line may have no end."""

_BLOCK = 64 << 10
_AGAIN = 0.5
"""Seconds between two looks at the file."""


def last_lines(path: str, user: User, count: int) -> Iterator[bytes]:
    """The last `count` lines, with their newlines; a line above 64 KiB comes in parts. OSError where the customer
    cannot read the file, or it is no regular file."""
    with _open(path, user) as file:
        file.seek(_begin_of(file, count))
        yield from _lines(file)


def follow(path: str, user: User, count: int) -> Iterator[bytes]:
    """The last `count` lines, then what is added, without end. Another file that takes the name is followed, too. A
    missing file is waited for, and then read whole."""
    while (file := _opened(path, user)) is None:
        count = MOST
        time.sleep(_AGAIN)
    file.seek(_begin_of(file, count))
    while True:
        now = _opened(path, user)
        yield from _lines(file)
        if now and not os.path.sameopenfile(file.fileno(), now.fileno()):
            file.close()
            file = now
            continue
        if now:
            now.close()
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
        time.sleep(_AGAIN)


def _opened(path: str, user: User) -> BinaryIO | None:
    with suppress(OSError):
        return _open(path, user)
    return None


def _open(path: str, user: User) -> BinaryIO:
    with _rights_of(user):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "rb")
    os.close(fd)
    raise OSError(0, "no regular file", path)


@contextmanager
def _rights_of(user: User) -> Iterator[None]:
    """Files that this process opens in the block are opened with the user's rights. The real uid stays root's, so that
    the user can neither trace nor kill the process."""
    groups = os.getgroups()
    try:
        os.setgroups([])
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _begin_of(file: BinaryIO, count: int) -> int:
    """The position at which the last `count` lines begin."""
    end = at = os.fstat(file.fileno()).st_size
    if not count or not end:
        return end
    left = count + (os.pread(file.fileno(), 1, end - 1) == b"\n")
    while at > 0 and end - at < MOST:
        size = min(_BLOCK, at)
        at -= size
        block = os.pread(file.fileno(), size, at)
        while (newline := block.rfind(b"\n")) >= 0:
            left -= 1
            if not left:
                return at + newline + 1
            block = block[:newline]
    return at


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Up to the end of the file, each with its newline; one above _BLOCK comes in parts."""
    while line := file.readline(_BLOCK):
        yield line
