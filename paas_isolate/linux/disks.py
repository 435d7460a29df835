"""Which disk does a path lie on? io.max takes whole disks and mapped devices, never partitions
(Documentation/admin-guide/cgroup-v2.rst, IO Interface Files)."""

import os
from functools import cached_property

from paas_isolate.errors import HostError
from paas_isolate.linux import mounts

SYS = "/sys/dev/block"
BTRFS = "/sys/fs/btrfs"
SYS_BLOCK = "/sys/class/block"


class Disks:
    """As `device_of`, but each device is looked up once a run: the homes of thousands of customers lie on few.

    What lies on a server is not even asked for: stat(2) waits for one that is down, and everybody with it.
    """

    def __init__(self) -> None:
        self._below: dict[int, str] = {}

    @cached_property
    def _mounts(self) -> tuple[mounts.Mount, ...]:
        return mounts.mounts()

    @cached_property
    def _diskless(self) -> tuple[str, ...]:
        return tuple(f"{mount.point.rstrip('/')}/" for mount in self._mounts if _is_diskless(mount))

    def refuse_without(self, path: str) -> None:
        """HostError where a path lies on no disk of this machine, as far as its name tells."""
        if f"{path}/".startswith(self._diskless) and _is_diskless(mount := mount_of(path, self._mounts)):
            raise _no_disk(path, mount)

    def device_of(self, path: str) -> str:
        self.refuse_without(path)
        try:
            device = os.stat(path).st_dev
        except OSError:
            return device_of(path)
        if device not in self._below:
            self._below[device] = device_of(path)
        return self._below[device]


def device_of(path: str) -> str:
    """`major:minor` of the disk below the file system of `path`. HostError where there is none (tmpfs, NFS).

    A path that does not exist yet (a home before the first login) counts where its parent is. What is stacked
    (LVM, md, dm-crypt) is its own disk: limits are kept where the file system hands its requests in.
    """
    here = existing(path)
    device = os.stat(here).st_dev
    found = disk_of(f"{os.major(device)}:{os.minor(device)}")
    return found or _source_of(here)


def disk_of(device: str) -> str:
    """The whole disk of a partition, the device itself otherwise; '' when it is no block device."""
    here = os.path.realpath(f"{SYS}/{device}")
    if not os.path.isdir(here):
        return ""
    if not os.path.exists(f"{here}/partition"):
        return device
    return _number(os.path.dirname(here))


def _number(device: str) -> str:
    with open(f"{device}/dev", encoding="ascii") as number:
        return number.read().strip()


def existing(path: str) -> str:
    """What there is of the way to it."""
    while not os.path.exists(path) and path not in ("/", ""):
        path = os.path.dirname(path.rstrip("/"))
    return os.path.realpath(path or "/")


def _source_of(path: str) -> str:
    """For file systems that tell an anonymous device (btrfs): the disk that was mounted."""
    mount = mount_of(path, mounts.mounts())
    try:
        source = os.stat(mount.source).st_rdev if mount.source.startswith("/") else 0
    except OSError:
        source = 0
    found = disk_of(f"{os.major(source)}:{os.minor(source)}") if source else ""
    if not found:
        raise _no_disk(path, mount)
    disks = _spread_over(os.path.basename(os.path.realpath(mount.source))) if mount.kind == "btrfs" else []
    if len({disk_of(_number(f"{SYS_BLOCK}/{name}")) for name in disks}) > 1:
        where = f"{path} lies on btrfs at {mount.point}, on {len(disks)} disks ({', '.join(disks)})"
        raise HostError(f"{where}: what is limited on one of them goes to another")
    return found


def _no_disk(path: str, mount: mounts.Mount) -> HostError:
    return HostError(f"{path} lies on {mount.kind} at {mount.point}, which has no disk of this machine below it")


def _is_diskless(mount: mounts.Mount) -> bool:
    """A device of major 0 is none, and what was mounted (`server:/home`, `//server/home`, `tmpfs`) is no path."""
    return mount.device.startswith("0:") and (not mount.source.startswith("/") or mount.source.startswith("//"))


def _spread_over(disk: str) -> list[str]:
    """The devices of the btrfs that one belongs to, by name (fs/btrfs/sysfs.c)."""
    for system in os.listdir(BTRFS) if os.path.isdir(BTRFS) else ():
        devices = f"{BTRFS}/{system}/devices"
        if os.path.exists(f"{devices}/{disk}"):
            return sorted(os.listdir(devices))
    return []


def mount_of(path: str, mounted: tuple[mounts.Mount, ...]) -> mounts.Mount:
    """The mount that a path lies on: the longest mount point above it, of those the one mounted last."""
    above = [mount for mount in mounted if _is_below(path, mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point))


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
