"""Which disk does a path lie on? io.max takes whole disks and mapped devices, never partitions
(Documentation/admin-guide/cgroup-v2.rst, IO Interface Files)."""

import os

SYS = "/sys/dev/block"


def device_of(path: str) -> str:
    """`major:minor` of the disk below the file system of `path`; '' where there is none (tmpfs, NFS).

    A path that does not exist yet (a home before the first login) counts where its parent is.
    """
    while True:
        try:
            device = os.stat(path).st_dev
            break
        except FileNotFoundError:
            if path in ("/", ""):
                return ""
            path = os.path.dirname(path.rstrip("/")) or "/"
        except OSError:
            return ""
    return disk_of(f"{os.major(device)}:{os.minor(device)}")


def disk_of(device: str) -> str:
    """The whole disk of a partition, the device itself otherwise; '' when it is no block device."""
    here = os.path.realpath(f"{SYS}/{device}")
    if not os.path.isdir(here) or here == f"{SYS}/{device}":
        return ""
    if not os.path.exists(f"{here}/partition"):
        return device
    with open(f"{os.path.dirname(here)}/dev", encoding="ascii") as whole:
        return whole.read().strip()
