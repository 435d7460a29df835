"""inotify(7): making an instance, and decoding its events."""

import ctypes
import os
import struct
from collections.abc import Iterator

_EVENT = struct.Struct("=iIII")  # struct inotify_event


def instance() -> tuple[ctypes.CDLL, int]:
    """The C library, for inotify_add_watch(2), and a new instance's descriptor, which is non-blocking. OSError when
    there can be no more instances (inotify(7), max_user_instances)."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return libc, fd


def read(fd: int) -> Iterator[tuple[int, int, str]]:
    """The waiting events, as many as fit into 64 KiB: watch, mask, and the name of the file in a watched directory, or
    '' when the event is about the watched path itself."""
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
