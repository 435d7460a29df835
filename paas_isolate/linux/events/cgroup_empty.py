"""Chosen cgroups, few: whether the last process has left, or the first has come. See cgroups(7), Cgroup v2 release
notification; the kernel tells every change of cgroup.events by inotify(7)."""

import os
from collections.abc import Collection, Iterator

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind

_MODIFY, _EVENTS = 0x2, "cgroup.events"


class CgroupEmptySource:
    """`follow` says which. OSError where the kernel has no inotify instance to give."""

    def __init__(self) -> None:
        self._libc, self._fd = inotify_raw.instance()
        self._watches: dict[str, int] = {}

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def rewatch(self, cgroups: Collection[str]) -> bool:
        """Watch these directories and no others; whether one that was not watched before is empty already."""
        new = set(cgroups) - self._watches.keys()
        for gone in self._watches.keys() - set(cgroups):
            self._libc.inotify_rm_watch(self._fd, self._watches.pop(gone))
        for cgroup in new:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(os.path.join(cgroup, _EVENTS)), _MODIFY)
            if watch >= 0:
                self._watches[cgroup] = watch
        return any(_is_empty(it) for it in new)

    def read(self) -> Iterator[Event]:
        """Once, however many of them changed: what has changed is looked up, not told."""
        try:
            os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        if any(_is_empty(watch) for watch in self._watches):
            yield Event(EventKind.EMPTY)


def _is_empty(cgroup: str) -> bool:
    """One that is gone has nobody in it, and is to be done with."""
    try:
        with open(os.path.join(cgroup, _EVENTS), encoding="ascii") as file:
            return "populated 0" in file.read()
    except OSError:
        return True
