"""What tells one file system from another for good: no number of a device, which may be another's after a boot."""

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
    """Of that on which an open directory lies; '' where it has none that lasts. It is the UUID's: ext4 tells that with
    statfs(2) (fs/ext4/super.c), where XFS tells only the device (fs/xfs/xfs_super.c); so that is asked for more."""
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
    """Where file systems of these names are mounted."""
    found: dict[str, str] = {}
    mounted = mounts.mounts() if wanted else ()
    table = mounts.MountTable(mounted) if mounted else None
    for mount in mounted:
        # over a home there may be what never answers: only what can be seen is opened
        if table and (mount.kind == XFS or mount.kind in EXT) and table.of(mount.point) is mount:
            with suppress(OSError):
                found.setdefault(_name_at(mount), mount.point)
    return {it: found[it] for it in wanted if it in found}


def _name_at(mount: mounts.Mount) -> str:
    """'' where another is mounted over it."""
    directory = os.open(mount.point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return name(directory, mount.kind) if _device(directory) == mount.device else ""
    finally:
        os.close(directory)


def _device(directory: int) -> str:
    device = os.fstat(directory).st_dev
    return f"{os.major(device)}:{os.minor(device)}"
