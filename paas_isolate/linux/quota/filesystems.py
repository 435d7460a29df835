"""Names of file systems that stay the same from boot to boot, which the numbers of their devices do not."""

import fcntl
import os
from collections.abc import Collection
from contextlib import suppress

from paas_isolate.linux.system import mounts

EXT = ("ext2", "ext3", "ext4")
XFS = "xfs"
_GEOMETRY = 0x80705864  # XFS_IOC_FSGEOMETRY_V1
_GEOMETRY_SIZE, _UUID = 112, slice(64, 80)  # struct xfs_fsop_geom_v1


def name(directory: int, kind: str) -> str:
    """The name of the file system that an open directory lies on, made of its UUID; '' for other kinds than ext and
    XFS. ext4 puts its UUID into f_fsid of statfs(2) (fs/ext4/super.c). XFS puts its device there (fs/xfs/xfs_super.c),
    so its UUID is asked for by ioctl(2). OSError."""
    if kind in EXT:
        return f"ext {os.fstatvfs(directory).f_fsid:016x}"
    return f"{XFS} {_geometry(directory)[_UUID].hex()}" if kind == XFS else ""


def _geometry(directory: int) -> bytes:
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return fcntl.ioctl(readable, _GEOMETRY, bytes(_GEOMETRY_SIZE))
    finally:
        os.close(readable)


def points(wanted: Collection[str]) -> dict[str, str]:
    """A mount point of each of these file systems that is mounted, by name."""
    found: dict[str, str] = {}
    mounted = mounts.mounts() if wanted else ()
    table = mounts.MountTable(mounted) if mounted else None
    for mount in mounted:
        # a mount that another one covers is not opened: the one above may never answer
        if table and (mount.kind == XFS or mount.kind in EXT) and table.of(mount.point) is mount:
            with suppress(OSError):
                found.setdefault(_name_at(mount), mount.point)
    return {name: found[name] for name in wanted if name in found}


def _name_at(mount: mounts.Mount) -> str:
    """'' where another file system is mounted over this one."""
    directory = os.open(mount.point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return name(directory, mount.kind) if _device(directory) == mount.device else ""
    finally:
        os.close(directory)


def _device(directory: int) -> str:
    device = os.fstat(directory).st_dev
    return f"{os.major(device)}:{os.minor(device)}"
