"""The end of a file that a customer writes, read with the customer's rights and by no process of theirs.

A process that is the customer's can be taken over by the customer's others (ptrace(2)), with the terminal, the keys and
the descriptors that root has given it. What is opened here is opened as the customer, by root.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from paas_isolate.model.account import User

MOST = 16 << 20
"""Bytes that are read for the last lines: a line may have no end."""

_BLOCK = 64 << 10
_AGAIN = 0.5
"""Seconds until it is looked at again."""


def last_lines(path: str, user: User, count: int) -> Iterator[bytes]:
    """The last `count` lines. OSError where the customer cannot read it, or it is no file."""
    with _open(path, user) as file:
        file.seek(_begin_of(file, count))
        yield from _lines(file)


def follow(path: str, user: User, count: int) -> Iterator[bytes]:
    """The last `count` lines, and without end what comes: by this name, so that a file which takes its place is
    followed, too. What is not there yet is waited for."""
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
    """What this process opens, it opens as they would. The real uid stays root's: they can neither trace nor end it."""
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
    """Where the last `count` lines begin."""
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
    """Until its end, each with its own; a long one comes in parts."""
    while line := file.readline(_BLOCK):
        yield line
