"""Which disk a path lies on. io.max takes whole disks and mapped devices, no partitions
(Documentation/admin-guide/cgroup-v2.rst, IO Interface Files).

The mount table tells it. Homes are not touched: a customer may mount a file system that never answers (FUSE), or a
server may be down, and stat(2) waits for both without end.
"""

import os
import sys
from collections.abc import Callable
from functools import cached_property

from paas_isolate.errors import HostError
from paas_isolate.linux.system import mounts

SYS = "/sys/dev/block"
BTRFS = "/sys/fs/btrfs"
SYS_BLOCK = "/sys/class/block"

_ANONYMOUS = frozenset({"btrfs", "bcachefs"})
"""File systems of the kernel that lie on disks and show a device of major 0: the mount's source tells which disk."""
_LINKS = 40
"""Symbolic links that a path may lead through (path_resolution(7))."""
_AT_FDCWD, _NO_ASKING = -100, 0x100 | 0x800 | 0x4000  # AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC
_UID_AND_MODE = 0x1 | 0x2 | 0x8  # STATX_TYPE, STATX_MODE, STATX_UID
_STATX_SIZE, _UID, _MODE = 256, slice(20, 24), slice(28, 30)  # struct statx


class BlockDevices:
    """Looks up each device once: thousands of homes lie on few. Made anew for each run, for mounts change."""

    def __init__(self) -> None:
        self._below: dict[str, str] = {}
        self._directories: dict[str, tuple[str, bool]] = {}

    @cached_property
    def _table(self) -> mounts.MountTable:
        return mounts.MountTable(mounts.mounts())

    def device_of(self, path: str) -> str:
        """`major:minor` of the disk below the file system of `path`. HostError where there is none (tmpfs, NFS).

        A path that does not exist yet (a home before the first login) lies where its parent lies. A stacked device
        (LVM, md, dm-crypt) is a disk of its own: limits apply where the file system submits its requests.
        """
        mount = self.mount_of(path)
        if mount.device not in self._below:
            self._below[mount.device] = disk_of(mount.device) or _source_of(path, mount)
        return self._below[mount.device]

    def mount_of(self, path: str) -> mounts.Mount:
        """The mount that a path lies on. HostError where it has no disk of this machine below it."""
        mount = self._table.of(self._real(_absolute(path)))
        if is_diskless(mount):
            raise _no_disk(path, mount)
        return mount

    def point(self, mount: mounts.Mount) -> str:
        """Where the file system of a mount can be opened: of several mount points the one nearest to the root."""
        return self._table.point(mount.device)

    def real(self, path: str) -> str:
        """Where a path leads to when only links of root are followed. HostError where there are too many of them."""
        return self._real(_absolute(path))

    def is_laid_by_root(self, path: str) -> bool:
        """Whether only root can write to each directory above the path: no customer can mount anything there."""
        return self._directory(os.path.dirname(_absolute(path)), _LINKS)[1]

    def _real(self, path: str, links: int = _LINKS) -> str:
        """Where a path leads to. Nothing is read in directories that customers can write to: they may mount something
        there at any moment, and a link of theirs would choose the disk."""
        if path == "/":
            return path
        above, name = os.path.split(path)
        above, only_root_writes = self._directory(above, links)
        here = os.path.join(above, name)
        if not only_root_writes:
            return here
        try:
            target = os.readlink(here)  # where something is mounted this reads its root alone, which never waits
        except OSError:
            return here
        if not links:
            raise HostError(f"{path} leads through too many links")
        return self._real(_absolute(os.path.join(above, target)), links - 1)

    def _directory(self, path: str, links: int) -> tuple[str, bool]:
        """The directory's real path, and whether only root can write to it."""
        if (known := self._directories.get(path)) is None:
            real = self._real(path, links)
            known = real, not is_waiting(self._table.of(real)) and _only_root_writes(real)
            self._directories[path] = known
        return known


def counted_device(home: str, device_of: Callable[[str], str]) -> str:
    """`major:minor` of the disk whose IO counts for who lives at `home`, as `device_of` (of a BlockDevices) finds it.
    '' for no home, or where no disk of this machine is below it."""
    if not home:
        return ""
    try:
        return device_of(home)
    except (HostError, OSError):
        return ""


class HomeDevices:
    """counted_device of many homes, each found once."""

    def __init__(self) -> None:
        self._device_of = BlockDevices().device_of
        self._known: dict[str, str] = {}

    def of(self, home: str) -> str:
        if (known := self._known.get(home)) is None:
            known = self._known[home] = counted_device(home, self._device_of)
        return known


def _absolute(path: str) -> str:
    """The home of an account without one is ''. normpath keeps two leading slashes (path_resolution(7))."""
    return "/" + os.path.normpath(f"/{path}").lstrip("/")


def disk_of(device: str) -> str:
    """`major:minor` of the whole disk of a partition, of the device itself otherwise; '' when it is no block device."""
    here = os.path.realpath(f"{SYS}/{device}")
    if not os.path.isdir(here):
        return ""
    if not os.path.exists(f"{here}/partition"):
        return device
    return _number(os.path.dirname(here))


def is_diskless(mount: mounts.Mount) -> bool:
    """Whether there is no disk below: its device has major 0, and its source names no device (such as `/dev/vdb`)."""
    return mount.device.startswith("0:") and not (mount.kind in _ANONYMOUS and mount.source.startswith("/"))


def is_waiting(mount: mounts.Mount) -> bool:
    """Whether a server or a program may have to answer instead of the kernel. A FUSE program chooses its source
    (`fsname=/dev/sda`), but not its kind."""
    return is_diskless(mount) and mount.kind not in ("tmpfs", "overlay", "rootfs", "ramfs", "zfs", "sysfs", "proc")


def is_customers(mount: mounts.Mount) -> bool:
    """Whether a program that is not root's answers (Documentation/filesystems/fuse.rst, user_id)."""
    return (mount.kind == "fuse" or mount.kind.startswith("fuse.")) and "user_id=0" not in mount.options


def _only_root_writes(directory: str) -> bool:
    """By what the kernel knows without asking a server or a program (statx(2), AT_STATX_DONT_SYNC)."""
    from ctypes import CDLL, create_string_buffer  # a machine without limits of io does not pay for it

    status = create_string_buffer(_STATX_SIZE)
    if CDLL(None).statx(_AT_FDCWD, os.fsencode(directory), _NO_ASKING, _UID_AND_MODE, status):
        return False
    uid, mode = (int.from_bytes(status.raw[part], sys.byteorder) for part in (_UID, _MODE))
    return uid == 0 and not mode & 0o002


def _number(device: str) -> str:
    with open(f"{device}/dev", encoding="ascii") as number:
        return number.read().strip()


def _source_of(path: str, mount: mounts.Mount) -> str:
    """For file systems that show an anonymous device (btrfs): the disk that was mounted. HostError where there is none,
    or where the file system lies on several."""
    try:
        source = os.stat(mount.source).st_rdev if mount.source.startswith("/") else 0
    except OSError:
        source = 0
    disk = disk_of(f"{os.major(source)}:{os.minor(source)}") if source else ""
    if not disk:
        raise _no_disk(path, mount)
    disks = _spread_over(os.path.basename(os.path.realpath(mount.source))) if mount.kind == "btrfs" else []
    if len({disk_of(_number(f"{SYS_BLOCK}/{name}")) for name in disks}) > 1:
        where = f"{path} lies on btrfs at {mount.point}, on {len(disks)} disks ({', '.join(disks)})"
        raise HostError(f"{where}: what is limited on one of them goes to another")
    return disk


def _no_disk(path: str, mount: mounts.Mount) -> HostError:
    return HostError(f"{path} lies on {mount.kind} at {mount.point}, which has no disk of this machine below it")


def _spread_over(disk: str) -> list[str]:
    """The names of all devices of the btrfs that this one belongs to (fs/btrfs/sysfs.c)."""
    for system in os.listdir(BTRFS) if os.path.isdir(BTRFS) else ():
        devices = f"{BTRFS}/{system}/devices"
        if os.path.exists(f"{devices}/{disk}"):
            return sorted(os.listdir(devices))
    return []
