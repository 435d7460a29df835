"""Event source: a knob of the tree was written, and by which process. See fanotify(7).

One mark covers the whole cgroup file system. inotify reports no pid and needs a watch for each directory; a fanotify
mark on the mount misses writes through another mount.

So writes outside the tree are reported too. Customers may write to cgroups that systemd delegates to them as often as
they like: after events from outside the tree, this source reads no more for a while.
"""

import ctypes
import errno
import os
import select
import struct
import time
from collections.abc import Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.timer import Timer

_CLOEXEC, _NONBLOCK = 0x1, 0x2
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_MARK_IGNORED, _SURVIVES = 0x20, 0x40  # FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY
_MODIFY, _OVERFLOW = 0x2, 0x4000
_AT_FDCWD, _NO_FD = -100, -1
_EVENT = struct.Struct("=IBBHQii")  # struct fanotify_event_metadata
_NOT_KNOBS = frozenset(("cgroup.procs", "cgroup.threads", "cgroup.kill"))
"""Files that set no limit, and are written at every login. Where processes are is found by observing."""
_REST, _TIMES = 0.02, 10
"""After events from outside the tree the source rests for so many seconds, or for so many times the CPU time that they
took, whichever is longer."""
_LOST_EVERY = 10.0
"""Seconds between two LOST events while events from outside the tree keep filling the queue."""


class CgroupWriteSource:
    """`point` is a directory where cgroup2 is mounted. OSError when the kernel does not support such marks, or we lack
    CAP_SYS_ADMIN. No knob is reported until `root` is set to the tree's directory."""

    def __init__(self, point: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.root = ""
        self._point = point.rstrip("/")
        self._fd = libc.fanotify_init(_CLOEXEC | _NONBLOCK, os.O_RDONLY | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        self._mark = mark = libc.fanotify_mark
        mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
        if mark(self._fd, _MARK_ADD | _MARK_FILESYSTEM, _MODIFY, _AT_FDCWD, os.fsencode(point)):
            code = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(code, "fanotify_mark")
        self._resting, self._owes_lost, self._lost_due = False, False, 0.0
        self._clock, self._poll = Timer(), select.epoll()
        self._poll.register(self._clock.fileno(), select.EPOLLIN)
        self._poll.register(self._fd, select.EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        self._poll.close()
        self._clock.close()
        os.close(self._fd)

    def ignore(self, opened: int) -> None:
        """Report no more writes to the open file `opened`. When the kernel refuses, they go on being reported."""
        self._mark(self._fd, _MARK_ADD | _MARK_IGNORED | _SURVIVES, _MODIFY, opened, None)

    def read(self) -> Iterator[Event]:
        """KNOB events, with the cgroup's path in the tree and the writer's pid; and LOST when the queue overflowed."""
        begin = time.thread_time()
        self._clock.read()
        if self._resting:
            self._resting = False
            self._poll.modify(self._fd, select.EPOLLIN)
        events, outside = self._read()
        lost = self._owes_lost or Event(EventKind.LOST) in events
        if lost:
            events = [event for event in events if event.kind is not EventKind.LOST]
            self._owes_lost = outside > 0 and time.monotonic() < self._lost_due
            if not self._owes_lost:
                self._lost_due = time.monotonic() + _LOST_EVERY
                events.append(Event(EventKind.LOST))
        if outside > len(events):
            self._resting = True
            self._poll.modify(self._fd, 0)
        rest = max(_REST, _TIMES * (time.thread_time() - begin)) if self._resting else 0.0
        self._clock.arm(rest or (_LOST_EVERY if self._owes_lost else 0.0))
        return iter(events)

    def _read(self) -> tuple[list[Event], int]:
        """Events to report, and how many events from outside the tree were read with them."""
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return [], 0
        except OSError as error:  # read(2) opens the file, and its cgroup may have been removed since the write
            return ([], 1) if error.errno in (errno.ENODEV, errno.ENOENT) else ([Event(EventKind.LOST)], 0)
        at, own, events, outside = 0, os.getpid(), [], 0
        # When the writer's mount is gone (of a unit with PrivateTmp=, of `unshare --mount`), the link shows the path
        # below the root of the file system, without the mount point.
        roots = (f"{self.root}/", f"{self.root.removeprefix(self._point)}/")
        while at < len(data):
            size, _, _, _, mask, fd, pid = _EVENT.unpack_from(data, at)
            at += size
            if mask & _OVERFLOW or fd == _NO_FD:
                events.append(Event(EventKind.LOST))
                continue
            try:
                path = os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
            place, _, knob = path.rpartition("/")
            inside = next((len(root) for root in roots if path.startswith(root)), 0)
            outside += not inside
            if pid != own and inside and knob not in _NOT_KNOBS and self.root:
                events.append(Event(EventKind.KNOB, place[inside:], pid))
        return events, outside
