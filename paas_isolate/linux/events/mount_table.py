"""Mounts of disks: one that comes late, as that of the homes, or goes. See proc_pid_mountinfo(5), poll(2).

The kernel tells that the table has changed to who asks, once, and an epoll(7) of an epoll may swallow it: so it is
asked by the clock. Customers mount what they like with fusermount(1), as often as they like: that is no news.
"""

import os
import select
from collections.abc import Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.quota import devices
from paas_isolate.linux.system import mounts

EVERY = 5
"""Seconds."""


class MountTableSource:
    def __init__(self) -> None:
        self._table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._changed = select.poll()
        self._changed.register(self._table, select.POLLPRI)
        self._clock = Timer()
        self._clock.arm(EVERY)
        self._known = _of_disks()

    def fileno(self) -> int:
        return self._clock.fileno()

    def close(self) -> None:
        self._clock.close()
        os.close(self._table)

    def read(self) -> Iterator[Event]:
        self._clock.read()
        if self._changed.poll(0) and (now := _of_disks()) != self._known:
            self._known = now
            yield Event(EventKind.MACHINE, "a disk is mounted, or no longer")


def _of_disks() -> frozenset[tuple[str, str]]:
    return frozenset((mount.point, mount.device) for mount in mounts.mounts() if not devices.is_diskless(mount))
