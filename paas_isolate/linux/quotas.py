"""User quotas of file systems, by the system call that setquota(8) and repquota(8) make. See quotactl(2)."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.linux import disks, mounts
from paas_isolate.model.account import Fleet
from paas_isolate.model.quota import Quota, Quotas, Usage

_QUOTACTL_FD = 443  # of all architectures (Linux 5.14)
_GETQUOTA, _SETQUOTA, _GETSTATE = 0x800007, 0x800008, 0x5805
_DQBLK = struct.Struct("=8QI4x")  # struct if_dqblk
_LIMITS = 5  # QIF_BLIMITS | QIF_ILIMITS
_ENFORCED = 2  # FS_QUOTA_UDQ_ENFD of struct fs_quota_stat, which ext4 tells, too
_LIBC = ctypes.CDLL(None, use_errno=True)


class DiskQuotas:
    """Of the file systems that homes lie on: each is asked once whether it keeps any."""

    def __init__(self) -> None:
        self._refusals: dict[int, str] = {}

    def look(self, fleet: Fleet) -> Quotas:
        """Of those who were sold some."""
        allowed: dict[int, Quota] = {}
        unable: dict[str, str] = {}
        for sold in fleet.accounts.values():
            if sold.disk:
                try:
                    allowed |= {uid: self.usage(sold.home, uid).allowed for uid in sold.uids.values()}
                except (OSError, HostError) as error:
                    unable[sold.directory] = str(error)
        return Quotas(allowed, unable=unable)

    def usage(self, home: str, uid: int) -> Usage:
        """HostError where the file system of the home keeps no quotas, with what switches them on."""
        with _opened(home) as place:
            self._check(home, place.fileno)
            row = _DQBLK.unpack(_call(place.fileno, _GETQUOTA, uid, bytes(_DQBLK.size)))
        return Usage(row[2], row[5], Quota(row[0], row[3]))

    def set(self, home: str, uid: int, quota: Quota) -> None:
        row = (quota.blocks, quota.blocks, 0, quota.files, quota.files, 0, 0, 0, _LIMITS)
        with _opened(home) as place:
            _call(place.fileno, _SETQUOTA, uid, _DQBLK.pack(*row))

    def _check(self, home: str, descriptor: int) -> None:
        device = os.fstat(descriptor).st_dev
        if device not in self._refusals:
            self._refusals[device] = "" if _enforced(descriptor) else _how_to(home)
        if why := self._refusals[device]:
            found, _, mend = why.partition("\n")
            raise HostError(found, hint=mend)


class _opened:  # noqa: N801  (a context manager)
    """A home, or what there is of the way to it: quotas are the file system's."""

    def __init__(self, path: str) -> None:
        self.fileno = os.open(disks.existing(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> "_opened":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fileno)


def _enforced(descriptor: int) -> bool:
    with suppress(OSError):
        state = _call(descriptor, _GETSTATE, 0, bytes(80))
        return bool(int.from_bytes(state[2:4], "little") & _ENFORCED)
    return False


def _how_to(home: str) -> str:
    mount = disks.mount_of(os.path.realpath(disks.existing(home)), mounts.mounts())
    found = f"{home} lies on {mount.kind} at {mount.point}, which keeps no limits of users"
    return f"{found}\n{'; '.join(_ways(mount))}"


def _ways(mount: mounts.Mount) -> Iterator[str]:
    if mount.kind == "ext4":
        yield f"unmounted: tune2fs -O quota {mount.source}"
        yield f"then mount {mount.point} with the option usrquota (/etc/fstab)"
    elif mount.kind == "xfs":
        yield f"mount {mount.point} with the option usrquota (/etc/fstab); for / boot with rootflags=usrquota"
    else:
        yield "quotas are kept on ext4 and xfs"


def _call(descriptor: int, command: int, uid: int, data: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(data, len(data))
    number, whole = ctypes.c_long(_QUOTACTL_FD), ctypes.c_uint(command << 8 & 0xFFFFFFFF)
    if _LIBC.syscall(number, ctypes.c_uint(descriptor), whole, ctypes.c_uint(uid), buffer):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return buffer.raw
