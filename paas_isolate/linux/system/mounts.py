"""The mounts that this process sees, and the one of cgroup2. See proc_pid_mountinfo(5)."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from paas_isolate.errors import HostError


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo: mount point, type and source of the file system, its device (`8:1`), and the
    options of mount and file system together."""

    point: str
    kind: str
    source: str
    device: str
    options: frozenset[str]
    number: int = 0
    above: int = 0
    """`number` of the parent mount."""


def mounts() -> tuple[Mount, ...]:
    """All mounts, in the order of the file."""
    # Only \n ends a line: customers choose names of mount points, and the kernel does not escape a \r in them.
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        return tuple(map(parse, lines))


def parse(line: str) -> Mount:
    """One line of mountinfo. ValueError or IndexError for another format."""
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
    """Finds the mount of a path from the table alone, as the kernel would, without touching a file system: a
    network file system might never answer. HostError when no mount is at /."""

    def __init__(self, mounted: Iterable[Mount]) -> None:
        self._mounted = tuple(mounted)
        self._on = {(mount.above, mount.point): mount for mount in self._mounted}
        numbers = {mount.number for mount in self._mounted}
        slashes = [mount for mount in self._mounted if mount.point == "/"]
        roots = [mount for mount in slashes if mount.above not in numbers or mount.above == mount.number]
        if not roots:
            raise HostError("/proc/self/mountinfo has no mount at /")
        self._of = {"/": self._top(roots[0], "/")}

    def of(self, path: str) -> Mount:
        """The mount that an absolute path is on, which need not exist. Symbolic links are not followed."""
        above = os.path.dirname(path)
        if above == path:
            return self._of["/"]
        if (mount := self._of.get(above)) is None:
            mount = self._of[above] = self.of(above)
        return self._top(mount, path)

    def point(self, device: str) -> str:
        """The shortest mount point of a device's file system that no other mount hides; '' when there is none."""
        points = (mount.point for mount in self._mounted if mount.device == device and self.of(mount.point) is mount)
        return min(points, key=len, default="")

    def _top(self, mount: Mount, point: str) -> Mount:
        """The uppermost of the mounts that are stacked at `point`."""
        while (over := self._on.get((mount.number, point))) and over is not mount:
            mount = over
        return mount


def cgroup2() -> Mount:
    """The first mount of the cgroup2 hierarchy. HostError when there is none."""
    for mount in mounts():
        if mount.kind == "cgroup2":
            return mount
    raise HostError(
        "no cgroup2 file system is mounted",
        hint="boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal numbers."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
