"""Event source: the supervisor of a service (pam/launchers/shim.c) has added a line to the service's run record, or has
closed the record, which the kernel does for it however it ends. See inotify(7)."""

import ctypes
import os
from collections.abc import Iterator

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.system.control_socket import NAME

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _DELETE, _MOVE_SELF, _ONLYDIR = 0x2, 0x8, 0x40, 0x200, 0x800, 0x01000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = _MODIFY | _CLOSE_WRITE | _MOVE_SELF | _ONLYDIR
_MASK_ABOVE = _DELETE | _MOVED_FROM | _MOVE_SELF | _ONLYDIR


class RunRecordSource:
    """Watches `directory`, which is made when it is missing, and again by `rewatch` when it was removed.

    Its parent is watched too. It reports the removal of the directory, which the directory itself does not report while
    a supervisor holds a record in it open; and the removal of the control socket. OSError as `rewatch`."""

    def __init__(self, directory: str) -> None:
        self._directory, self._above = directory, os.path.dirname(directory)
        self._libc, self._fd = inotify_raw.instance()
        self._watched: dict[int, str] = {}
        self.rewatch()

    def rewatch(self) -> None:
        """Make the directory when it is missing, and watch it and its parent; a second watch of the same directory is
        the first (inotify_add_watch(2)). OSError when one of them cannot be made or watched."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        wanted = ((self._above, _MASK_ABOVE), (self._directory, _MASK))
        watched = {self._watch(path, mask): path for path, mask in wanted}
        for old in self._watched.keys() - watched.keys():
            self._libc.inotify_rm_watch(self._fd, old)
        self._watched = watched

    def _watch(self, path: str, mask: int) -> int:
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask))
        if watch < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        return watch

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def read(self) -> Iterator[Event]:
        """SERVICE events with a record's name, one a record; LOST when the queue overflowed, or when the directory or
        the control socket is gone."""
        names, lost = set[str](), False
        for watch, mask, name in inotify_raw.read(self._fd):
            directory = self._watched.get(watch)
            if directory is None:
                lost |= bool(mask & _OVERFLOW)
            elif mask & (_IGNORED | _MOVE_SELF):
                lost = True
            elif directory == self._above:
                lost |= name in (os.path.basename(self._directory), NAME)
            else:
                names.add(name)
        if lost:
            yield Event(EventKind.LOST)
        yield from (Event(EventKind.SERVICE, name) for name in names if name and name[0] != ".")
