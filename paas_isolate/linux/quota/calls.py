"""User quotas of file systems, by the system call that setquota(8) and repquota(8) make. See quotactl(2)."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.quota import devices, filesystems
from paas_isolate.linux.system import mounts
from paas_isolate.model.quota import BLOCK, FileSystem, Quota, QuotaUsage

_QUOTACTL_FD = 443  # of all architectures (Linux 5.14)
_GETQUOTA, _SETQUOTA, _GETSTATE = 0x800007, 0x800008, 0x5805
_DQBLK = struct.Struct("=8QI4x")  # struct if_dqblk
_LIMITS = 5  # QIF_BLIMITS | QIF_ILIMITS
_ENFORCED = 2  # FS_QUOTA_UDQ_ENFD of struct fs_quota_stat, which ext4 tells, too
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_KINDS = "quotas are kept on ext4 and xfs"
_LIBC = ctypes.CDLL(None, use_errno=True)


class DiskQuotas:
    """The quotas of the file systems that homes lie on. Whether a file system enforces quotas is asked once."""

    def __init__(self) -> None:
        self._refusals: dict[str, str] = {}
        self._systems: dict[str, FileSystem] = {}
        self._disks = devices.BlockDevices()

    def usage(self, path: str, uid: int) -> QuotaUsage:
        """What a uid uses of the file system of a path, and its limits. HostError where that keeps no quotas, with a
        hint how to switch them on; OSError where it cannot be asked."""
        with self._opened(path) as (place, _):
            return _usage(place, uid)

    def found(self, path: str, uid: int) -> tuple[FileSystem, QuotaUsage]:
        """The file system of a path, and what `usage` returns and raises."""
        with self._opened(path) as (place, mount):
            return self._system(place, mount), _usage(place, uid)

    def set(self, path: str, uid: int, quota: Quota, *, system: str = "") -> None:
        """Set the limits of a uid, the soft ones equal to the hard ones. HostError as `usage`, and where the path does
        not lie on the file system of the name `system` ('' for any)."""
        row = (quota.blocks, quota.blocks, 0, quota.files, quota.files, 0, 0, 0, _LIMITS)
        with self._opened(path) as (place, mount):
            if system and self._system(place, mount).name != system:
                raise HostError(f"another file system is at {path} now")
            _call(place, _SETQUOTA, uid, _DQBLK.pack(*row))

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[int, mounts.Mount]]:
        """The root of the file system that a path lies on, opened, where quotas are enforced. The home itself is not
        opened: a file system that is mounted there may never answer."""
        try:
            mount = self._disks.mount_of(path)
        except HostError as error:
            raise HostError(str(error), hint=_KINDS) from error
        place = os.open(self._disks.point(mount), _PLACE)
        try:
            self._check(path, place, mount)
            yield place, mount
        finally:
            os.close(place)

    def _check(self, path: str, descriptor: int, mount: mounts.Mount) -> None:
        if mount.device not in self._refusals:
            self._refusals[mount.device] = "" if _enforced(descriptor, mount) else _how_to(path, mount)
        if refusal := self._refusals[mount.device]:
            message, _, hint = refusal.partition("\n")
            raise HostError(message, hint=hint)

    def _system(self, descriptor: int, mount: mounts.Mount) -> FileSystem:
        if mount.device not in self._systems:
            self._systems[mount.device] = _system(descriptor, mount.kind)
        return self._systems[mount.device]


def _system(descriptor: int, kind: str) -> FileSystem:
    grain = max(os.fstatvfs(descriptor).f_frsize // BLOCK, 1) if kind == filesystems.XFS else 1
    return FileSystem(filesystems.name(descriptor, kind), grain)


def _usage(descriptor: int, uid: int) -> QuotaUsage:
    try:
        row = _DQBLK.unpack(_call(descriptor, _GETQUOTA, uid, bytes(_DQBLK.size)))
    except FileNotFoundError:  # XFS has no row for a uid that never had a file or a limit (xfs_qm_dqget)
        return QuotaUsage(0, 0, Quota())
    return QuotaUsage(row[2], row[5], Quota(row[0], row[3]))


def _enforced(descriptor: int, mount: mounts.Mount) -> bool:
    if mount.kind not in (*filesystems.EXT, filesystems.XFS):
        return False
    with suppress(OSError):
        state = _call(descriptor, _GETSTATE, 0, bytes(80))
        return bool(int.from_bytes(state[2:4], "little") & _ENFORCED)
    return False


def _how_to(home: str, mount: mounts.Mount) -> str:
    """Message and hint, a line each."""
    message = f"{home} lies on {mount.kind} at {mount.point}, which keeps no limits of users"
    return f"{message}\n{'; '.join(_commands(mount))}"


def _commands(mount: mounts.Mount) -> Iterator[str]:
    if mount.kind == "ext4":
        yield f"unmounted: tune2fs -O quota {mount.source}"
        yield f"then mount {mount.point} with the option usrquota (/etc/fstab)"
    elif mount.kind == "xfs":
        option = "boot with rootflags=usrquota" if mount.point == "/" else f"umount {mount.point}; mount {mount.point}"
        yield f"give {mount.point} the option usrquota in /etc/fstab, then {option} (a remount does not switch it on)"
    else:
        yield _KINDS


def _call(descriptor: int, command: int, uid: int, data: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(data, len(data))
    number, whole = ctypes.c_long(_QUOTACTL_FD), ctypes.c_uint(command << 8 & 0xFFFFFFFF)
    if _LIBC.syscall(number, ctypes.c_uint(descriptor), whole, ctypes.c_uint(uid), buffer):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return buffer.raw
