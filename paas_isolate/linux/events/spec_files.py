"""The directories of the specifications: which file has been written, come or gone. See inotify(7).

Who makes a file closes it when it is written, which is told too: only what comes otherwise counts when it is made.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE, _ATTRIB = 0x8, 0x40, 0x80, 0x200, 0x4
_DELETE_SELF, _MOVE_SELF, _CREATE, _ONLYDIR = 0x400, 0x800, 0x100, 0x01000000
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ASKED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ATTRIB | _CREATE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_END = ".yaml"


class SpecFileSource:
    """`directories` may come and go: `follow` looks for those that are not watched. Of other directories only `files`
    count."""

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
        """Watch what is there; a directory that is watched already is watched once (inotify_add_watch(2))."""
        for directory in {*self._directories, *map(os.path.dirname, self._files)}:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _ASKED)
            if watch >= 0:
                self._names[watch] = directory

    def read(self) -> Iterator[Event]:
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
        """What does not end so is never read; but a directory may have come."""
        if place in self._files or place in self._directories:
            return True
        return place.endswith(_END) and directory in self._directories


def _is_being_written(place: str) -> bool:
    """Not so a link, of either kind, or a directory; and not what has gone again."""
    try:
        found = os.lstat(place)
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
