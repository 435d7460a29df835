"""Event source: a disk was mounted, such as a late mount of /home, or unmounted. See proc_pid_mountinfo(5), poll(2).

The kernel reports a change of the mount table once to each open file, and an epoll(7) inside another epoll may lose the
report: so a timer polls. Mounts without a disk are not reported: customers make them with fusermount(1) as often as
they like.
"""

import os
import select
from collections.abc import Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.quota import devices
from paas_isolate.linux.system import mounts

EVERY = 5
"""Seconds between two polls."""


class MountTableSource:
    """OSError when there is no timer, or /proc is not mounted."""

    def __init__(self) -> None:
        self._table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._changed = select.poll()
        self._changed.register(self._table, select.POLLPRI)
        self._clock = Timer()
        self._clock.arm(EVERY)
        self._known = _disk_mounts()

    def fileno(self) -> int:
        return self._clock.fileno()

    def close(self) -> None:
        self._clock.close()
        os.close(self._table)

    def read(self) -> Iterator[Event]:
        self._clock.read()
        if self._changed.poll(0) and (now := _disk_mounts()) != self._known:
            self._known = now
            yield Event(EventKind.MACHINE, "a disk is mounted, or no longer")


def _disk_mounts() -> frozenset[tuple[str, str]]:
    return frozenset((mount.point, mount.device) for mount in mounts.mounts() if not devices.is_diskless(mount))
