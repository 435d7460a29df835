"""Where the cgroup2 hierarchy is mounted, and with what. See proc_pid_mountinfo(5)."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from paas_isolate.errors import HostError


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo."""

    point: str
    kind: str
    source: str
    device: str
    options: frozenset[str]
    number: int = 0
    above: int = 0
    """The number of the mount that it is mounted on."""


def mounts() -> tuple[Mount, ...]:
    # a line ends with \n alone: customers choose names, and the kernel leaves their \r as it is
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        return tuple(map(parse, lines))


def parse(line: str) -> Mount:
    own, _, file_system = line.rstrip("\n").partition(" - ")
    fields = own.split(" ")
    kind, source, options = file_system.split(" ", 2)
    return Mount(
        point=_unescape(fields[4]),
        kind=kind,
        source=_unescape(source),
        device=fields[2],
        options=frozenset(fields[5].split(",")) | frozenset(options.split(",")),
        number=int(fields[0]),
        above=int(fields[1]),
    )


class MountTable:
    """Mounts as the kernel walks through them. A path is looked up in it alone: nothing on the way is touched."""

    def __init__(self, mounted: Iterable[Mount]) -> None:
        self._mounted = tuple(mounted)
        self._on = {(mount.above, mount.point): mount for mount in self._mounted}
        numbers = {mount.number for mount in self._mounted}
        roots = [it for it in self._mounted if it.point == "/" and (it.above not in numbers or it.above == it.number)]
        if not roots:
            raise HostError("/proc/self/mountinfo has no mount at /")
        self._of = {"/": self._top(roots[0], "/")}

    def of(self, path: str) -> Mount:
        """The mount that an absolute path lies on, one that does not exist yet too. Links are not followed."""
        above = os.path.dirname(path)
        if above == path:
            return self._of["/"]
        if (mount := self._of.get(above)) is None:
            mount = self._of[above] = self.of(above)
        return self._top(mount, path)

    def point(self, device: str) -> str:
        """The shortest path at which the file system of a device can be seen; '' where there is none."""
        points = (it.point for it in self._mounted if it.device == device and self.of(it.point) is it)
        return min(points, key=len, default="")

    def _top(self, mount: Mount, point: str) -> Mount:
        """What is mounted there last, of several over each other."""
        while (over := self._on.get((mount.number, point))) and over is not mount:
            mount = over
        return mount


def cgroup2() -> Mount:
    """The hierarchy that we work in. HostError when there is none."""
    for mount in mounts():
        if mount.kind == "cgroup2":
            return mount
    raise HostError(
        "no cgroup2 file system is mounted",
        hint="boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
