"""The records of services: a keeper has added a line, or has closed its record because it ended, whatever ended it."""

import ctypes
import os
import struct
from collections.abc import Iterator

from paas_isolate.linux.ears.heard import Heard, Kind

_MODIFY, _CLOSE_WRITE, _OVERFLOW = 0x2, 0x8, 0x4000
_EVENT = struct.Struct("=iIII")  # struct inotify_event


class Records:
    """`directory` is made where it is not there."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(directory), _MODIFY | _CLOSE_WRITE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def fileno(self) -> int:
        return int(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def heard(self) -> Iterator[Heard]:
        """Each record once."""
        try:
            events = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        at, names = 0, set[str]()
        while at < len(events):
            _, mask, _, size = _EVENT.unpack_from(events, at)
            names.add(os.fsdecode(events[at + _EVENT.size : at + _EVENT.size + size].rstrip(b"\0")))
            at += _EVENT.size + size
            if mask & _OVERFLOW:
                yield Heard(Kind.LOST)
        yield from (Heard(Kind.SERVICE, name) for name in names if name and name[0] != ".")
