"""Event source: a watched cgroup has become empty. See cgroups(7), Cgroup v2 release notification: the kernel reports
every change of cgroup.events through inotify(7). Each cgroup takes one watch, so only a few are watched."""

import os
from collections.abc import Collection, Iterator

from paas_isolate.linux.events import inotify_raw
from paas_isolate.linux.events.event import Event, EventKind

_MODIFY, _EVENTS = 0x2, "cgroup.events"


class CgroupEmptySource:
    """Watches nothing until `rewatch` names cgroups. OSError when there can be no more inotify instances."""

    def __init__(self) -> None:
        self._libc, self._fd = inotify_raw.instance()
        self._watches: dict[str, int] = {}

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def rewatch(self, cgroups: Collection[str]) -> bool:
        """Watch these cgroups, given as absolute directories, and no others. Returns whether a newly watched one is
        empty already or does not exist."""
        new = set(cgroups) - self._watches.keys()
        for gone in self._watches.keys() - set(cgroups):
            self._libc.inotify_rm_watch(self._fd, self._watches.pop(gone))
        for cgroup in new:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(os.path.join(cgroup, _EVENTS)), _MODIFY)
            if watch >= 0:
                self._watches[cgroup] = watch
        return any(_is_empty(cgroup) for cgroup in new)

    def read(self) -> Iterator[Event]:
        """One event at most, however many cgroups have changed: the reader checks each."""
        try:
            os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        if any(_is_empty(cgroup) for cgroup in self._watches):
            yield Event(EventKind.EMPTY)


def _is_empty(cgroup: str) -> bool:
    """A cgroup that does not exist counts as empty."""
    try:
        with open(os.path.join(cgroup, _EVENTS), encoding="ascii") as file:
            return "populated 0" in file.read()
    except OSError:
        return True
