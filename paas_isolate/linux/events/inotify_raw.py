"""What inotify(7) gives: an instance, and its events as they were read."""

import ctypes
import os
import struct
from collections.abc import Iterator

_EVENT = struct.Struct("=iIII")  # struct inotify_event


def instance() -> tuple[ctypes.CDLL, int]:
    """The library to watch with, and a new instance. OSError where the kernel has none to give."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return libc, fd


def read(fd: int) -> Iterator[tuple[int, int, str]]:
    """Of each event that waits: the watch, the mask, and the name of the file, '' where it is of the watched itself."""
    try:
        events = os.read(fd, 1 << 16)
    except BlockingIOError:
        return
    at = 0
    while at < len(events):
        watch, mask, _, size = _EVENT.unpack_from(events, at)
        name = events[at + _EVENT.size : at + _EVENT.size + size].rstrip(b"\0")
        at += _EVENT.size + size
        yield watch, mask, os.fsdecode(name)
