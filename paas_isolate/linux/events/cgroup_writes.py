"""The whole cgroup file system by one mark: which knob of the tree somebody has written, and who. See fanotify(7).

inotify has no pid and wants a watch a directory; a mark of the mount is blind for writes by another one.

So writes elsewhere are heard, too. Customers may write to the cgroups of their own that systemd delegates to them, and
as often as they like: after each event from elsewhere the ear rests for a while.
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
"""Every login writes one of these: where processes are is seen by a look."""
_REST, _TIMES = 0.02, 10
"""Seconds of rest after events from elsewhere, or so many times as long as they took."""
_LOST_EVERY = 10.0
"""Seconds between two looks at everything because events were lost among those from elsewhere."""


class CgroupWriteSource:
    """`point` is any directory of the file system. OSError where the kernel has no such marks, or not for us
    (CAP_SYS_ADMIN). Nothing is heard before `root` says where the tree is."""

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
        self._resting, self._owes, self._lost_due = False, False, 0.0
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
        """Whatever is written into this file wakes nobody any more. A kernel that refuses goes on telling."""
        self._mark(self._fd, _MARK_ADD | _MARK_IGNORED | _SURVIVES, _MODIFY, opened, None)

    def read(self) -> Iterator[Event]:
        begin = time.thread_time()
        self._clock.read()
        if self._resting:
            self._resting = False
            self._poll.modify(self._fd, select.EPOLLIN)
        found, elsewhere = self._read()
        lost = self._owes or Event(EventKind.LOST) in found
        if lost:
            found = [it for it in found if it.kind is not EventKind.LOST]
            self._owes = elsewhere > 0 and time.monotonic() < self._lost_due
            if not self._owes:
                self._lost_due = time.monotonic() + _LOST_EVERY
                found.append(Event(EventKind.LOST))
        if elsewhere > len(found):
            self._resting = True
            self._poll.modify(self._fd, 0)
        rest = max(_REST, _TIMES * (time.thread_time() - begin)) if self._resting else 0.0
        self._clock.arm(rest or (_LOST_EVERY if self._owes else 0.0))
        return iter(found)

    def _read(self) -> tuple[list[Event], int]:
        """What is news, and how many events from elsewhere came along."""
        try:
            events = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return [], 0
        except OSError as error:  # it opens the file for us, and a cgroup may have gone since it was written to
            return ([], 1) if error.errno in (errno.ENODEV, errno.ENOENT) else ([Event(EventKind.LOST)], 0)
        at, own, found, elsewhere = 0, os.getpid(), [], 0
        # A writer's mount that has gone since (of a unit with PrivateTmp=, of `unshare --mount`) has no place any more:
        # the path begins in the file system then.
        roots = (f"{self.root}/", f"{self.root.removeprefix(self._point)}/")
        while at < len(events):
            size, _, _, _, mask, fd, pid = _EVENT.unpack_from(events, at)
            at += size
            if mask & _OVERFLOW or fd == _NO_FD:
                found.append(Event(EventKind.LOST))
                continue
            try:
                path = os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
            place, _, knob = path.rpartition("/")
            inside = next((len(root) for root in roots if path.startswith(root)), 0)
            elsewhere += not inside
            if pid != own and inside and knob not in _NOT_KNOBS and self.root:
                found.append(Event(EventKind.KNOB, place[inside:], pid))
        return found, elsewhere
