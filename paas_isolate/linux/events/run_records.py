"""The records of services: a keeper has added a line, or has closed its record because it ended, whatever ended it."""

import ctypes
import os
from collections.abc import Iterator

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.system.control_socket import NAME

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _DELETE, _MOVE_SELF, _ONLYDIR = 0x2, 0x8, 0x40, 0x200, 0x800, 0x01000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ASKED = _MODIFY | _CLOSE_WRITE | _MOVE_SELF | _ONLYDIR
_ASKED_ABOVE = _DELETE | _MOVED_FROM | _MOVE_SELF | _ONLYDIR


class RunRecordSource:
    """`directory` is made where it is not there, and again by `follow` where it was taken away. That is told by the one
    above: a keeper's record keeps a directory that is removed alive, and silent. So it is of the control socket."""

    def __init__(self, directory: str) -> None:
        self._directory, self._above = directory, os.path.dirname(directory)
        self._libc, self._fd = inotify_raw.instance()
        self._watched: dict[int, str] = {}
        self.rewatch()

    def rewatch(self) -> None:
        """One that is watched already is watched once (inotify_add_watch(2)). OSError."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        asked = ((self._above, _ASKED_ABOVE), (self._directory, _ASKED))
        watched = {self._watch(path, mask): path for path, mask in asked}
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
        """Each record once; that something was lost also where the directory has gone."""
        names, lost = set[str](), False
        for watch, mask, name in inotify_raw.read(self._fd):
            where = self._watched.get(watch)
            if where is None:
                lost |= bool(mask & _OVERFLOW)
            elif mask & (_IGNORED | _MOVE_SELF):
                lost = True
            elif where == self._above:
                lost |= name in (os.path.basename(self._directory), NAME)
            else:
                names.add(name)
        if lost:
            yield Event(EventKind.LOST)
        yield from (Event(EventKind.SERVICE, name) for name in names if name and name[0] != ".")
