"""Event source: a specification was written, created or removed. See inotify(7).

A file that is being written is reported when its writer closes it, not when it is created. Links and directories are
reported when they are created.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE, _ATTRIB = 0x8, 0x40, 0x80, 0x200, 0x4
_DELETE_SELF, _MOVE_SELF, _CREATE, _ONLYDIR = 0x400, 0x800, 0x100, 0x01000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ATTRIB | _CREATE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_END = ".yaml"


class SpecFileSource:
    """Watches the specifications in `directories`, and each of `files` in its directory. A directory may be missing or
    removed: `rewatch` watches those that exist by then. OSError when there can be no more inotify instances."""

    def __init__(self, directories: Sequence[str], files: Sequence[str] = ()) -> None:
        self._libc, self._fd = inotify_raw.instance()
        self._directories, self._files = tuple(directories), frozenset(files)
        self._names: dict[int, str] = {}
        self.rewatch()

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def rewatch(self) -> None:
        """Watch the directories that exist; a second watch of the same one is the first (inotify_add_watch(2))."""
        for directory in {*self._directories, *map(os.path.dirname, self._files)}:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
            if watch >= 0:
                self._names[watch] = directory

    def read(self) -> Iterator[Event]:
        """SPECS events with the file's path, or without one when a watched directory is gone; LOST when the queue
        overflowed."""
        for watch, mask, name in inotify_raw.read(self._fd):
            if mask & _OVERFLOW:
                yield Event(EventKind.LOST)
            elif mask & (_IGNORED | _DELETE_SELF | _MOVE_SELF):
                self._names.pop(watch, None)
                yield Event(EventKind.SPECS)
            else:
                directory = self._names.get(watch, "")
                place = os.path.join(directory, name)
                if self._matters(directory, place) and not (mask & _CREATE and _is_being_written(place)):
                    yield Event(EventKind.SPECS, place)

    def _matters(self, directory: str, place: str) -> bool:
        """Only files that end in .yaml are specifications; a watched directory itself matters too."""
        if place in self._files or place in self._directories:
            return True
        return place.endswith(_END) and directory in self._directories


def _is_being_written(place: str) -> bool:
    """Whether a created path will be reported once more: a regular file is, when it is closed; a path that is gone
    again is, when it is removed. A directory and a symbolic or hard link are not."""
    try:
        status = os.lstat(place)
    except OSError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
