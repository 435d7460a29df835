"""Which disk does a path lie on? io.max takes whole disks and mapped devices, never partitions
(Documentation/admin-guide/cgroup-v2.rst, IO Interface Files).

The mount table says it. No home is asked: a customer mounts what never answers (FUSE), a server may be down, and
stat(2) waits for both without end.
"""

import os
import sys
from functools import cached_property

from paas_isolate.errors import HostError
from paas_isolate.linux.system import mounts

SYS = "/sys/dev/block"
BTRFS = "/sys/fs/btrfs"
SYS_BLOCK = "/sys/class/block"

_ANONYMOUS = frozenset({"btrfs", "bcachefs"})
"""File systems of the kernel's own that lie on disks and show a device of major 0: the source tells which."""
_LINKS = 40
"""Links that a path may lead through (path_resolution(7))."""
_AT_FDCWD, _NO_ASKING = -100, 0x100 | 0x800 | 0x4000  # AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC
_UID_AND_MODE = 0x1 | 0x2 | 0x8  # STATX_TYPE, STATX_MODE, STATX_UID
_STATX_SIZE, _UID, _MODE = 256, slice(20, 24), slice(28, 30)  # struct statx


class BlockDevices:
    """Of one run: each device is looked up once, for the homes of thousands of customers lie on few."""

    def __init__(self) -> None:
        self._below: dict[str, str] = {}
        self._directories: dict[str, tuple[str, bool]] = {}

    @cached_property
    def _table(self) -> mounts.MountTable:
        return mounts.MountTable(mounts.mounts())

    def device_of(self, path: str) -> str:
        """`major:minor` of the disk below the file system of `path`. HostError where there is none (tmpfs, NFS).

        A path that does not exist yet (a home before the first login) counts where its parent is. What is stacked
        (LVM, md, dm-crypt) is its own disk: limits are kept where the file system hands its requests in.
        """
        mount = self.mount_of(path)
        if mount.device not in self._below:
            self._below[mount.device] = disk_of(mount.device) or _source_of(path, mount)
        return self._below[mount.device]

    def mount_of(self, path: str) -> mounts.Mount:
        """The mount that a path lies on. HostError where that has no disk of this machine."""
        mount = self._table.of(self._real(_absolute(path)))
        if is_diskless(mount):
            raise _no_disk(path, mount)
        return mount

    def point(self, mount: mounts.Mount) -> str:
        """Where its file system can be opened: of several places the one nearest to the root."""
        return self._table.point(mount.device)

    def real(self, path: str) -> str:
        """Where a path leads to, by root's links alone. HostError where there are too many of them."""
        return self._real(_absolute(path))

    def is_laid_by_root(self, path: str) -> bool:
        """Whether only root writes to each directory on the way to what lies there: no customer can mount on it."""
        return self._directory(os.path.dirname(_absolute(path)), _LINKS)[1]

    def _real(self, path: str, links: int = _LINKS) -> str:
        """Where a path leads to, as far as root has laid the way: what customers may write to is not looked into.
        They may mount something there at any moment, and a link of theirs would choose the disk."""
        if path == "/":
            return path
        above, name = os.path.split(path)
        above, is_roots = self._directory(above, links)
        here = os.path.join(above, name)
        if not is_roots:
            return here
        try:
            target = os.readlink(here)  # of what is mounted there only its root is touched, which asks nobody
        except OSError:
            return here
        if not links:
            raise HostError(f"{path} leads through too many links")
        return self._real(_absolute(os.path.join(above, target)), links - 1)

    def _directory(self, path: str, links: int) -> tuple[str, bool]:
        """Where it really is, and whether it is only root who writes to it."""
        if (known := self._directories.get(path)) is None:
            real = self._real(path, links)
            known = real, not is_waiting(self._table.of(real)) and _is_roots(real)
            self._directories[path] = known
        return known


def _absolute(path: str) -> str:
    """An account without a home has ''; normpath keeps two slashes (path_resolution(7))."""
    return "/" + os.path.normpath(f"/{path}").lstrip("/")


def disk_of(device: str) -> str:
    """The whole disk of a partition, the device itself otherwise; '' when it is no block device."""
    here = os.path.realpath(f"{SYS}/{device}")
    if not os.path.isdir(here):
        return ""
    if not os.path.exists(f"{here}/partition"):
        return device
    return _number(os.path.dirname(here))


def is_diskless(mount: mounts.Mount) -> bool:
    """A device of major 0 is none, but for file systems that tell where they lie (`/dev/vdb`)."""
    return mount.device.startswith("0:") and not (mount.kind in _ANONYMOUS and mount.source.startswith("/"))


def is_waiting(mount: mounts.Mount) -> bool:
    """Whether somebody else than the kernel may have to answer: a server, or a program of a customer's. A program names
    its source as it likes (`fsname=/dev/sda`), but not its kind."""
    return is_diskless(mount) and mount.kind not in ("tmpfs", "overlay", "rootfs", "ramfs", "zfs", "sysfs", "proc")


def is_customers(mount: mounts.Mount) -> bool:
    """Whether a program of somebody else than root answers (Documentation/filesystems/fuse.rst, user_id)."""
    return (mount.kind == "fuse" or mount.kind.startswith("fuse.")) and "user_id=0" not in mount.options


def _is_roots(directory: str) -> bool:
    """Whether only root writes to a directory, as far as the kernel knows without asking anybody else."""
    from ctypes import CDLL, create_string_buffer  # a machine without limits of io does not pay for it

    found = create_string_buffer(_STATX_SIZE)
    if CDLL(None).statx(_AT_FDCWD, os.fsencode(directory), _NO_ASKING, _UID_AND_MODE, found):
        return False
    uid, mode = (int.from_bytes(found.raw[part], sys.byteorder) for part in (_UID, _MODE))
    return uid == 0 and not mode & 0o002


def _number(device: str) -> str:
    with open(f"{device}/dev", encoding="ascii") as number:
        return number.read().strip()


def _source_of(path: str, mount: mounts.Mount) -> str:
    """For file systems that tell an anonymous device (btrfs): the disk that was mounted."""
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


def _spread_over(disk: str) -> list[str]:
    """The devices of the btrfs that one belongs to, by name (fs/btrfs/sysfs.c)."""
    for system in os.listdir(BTRFS) if os.path.isdir(BTRFS) else ():
        devices = f"{BTRFS}/{system}/devices"
        if os.path.exists(f"{devices}/{disk}"):
            return sorted(os.listdir(devices))
    return []
