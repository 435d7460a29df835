"""Disk quotas of users, as in quotactl(2)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

BLOCK = 1024
"""The kernel's unit for limits of space, in bytes (QIF_DQBLKSIZE, linux/quota.h)."""


class Quota(NamedTuple):
    """Hard limits of a user: `blocks` of BLOCK bytes, and `files`. As in the kernel, 0 means no limit."""

    blocks: int = 0
    files: int = 0

    def __str__(self) -> str:
        space = f"{self.blocks} blocks of 1K" if self.blocks else "any space"
        return f"{space}, {self.files or 'any'} files"

    def in_grains(self, grain: int) -> "Quota":
        """The quota as a file system stores it that rounds up to multiples of `grain` blocks."""
        return self._replace(blocks=-(-self.blocks // grain) * grain)


UNLIMITED = Quota()


class QuotaKey(NamedTuple):
    """One user on one file system. `system` is a name of the file system that outlives a change of its device."""

    system: str
    uid: int


class FileSystem(NamedTuple):
    """A file system with quotas. It rounds limits up to multiples of `grain` blocks: XFS counts in its own blocks."""

    name: str
    grain: int = 1


class QuotaSpec(NamedTuple):
    """The quota that a user of an account should have. `path` is on the file system; a home need not exist yet."""

    directory: str
    path: str
    quota: Quota


class Quotas(NamedTuple):
    """The quotas, desired or observed. No field is set on both sides."""

    sold: Mapping[int, QuotaSpec] = MappingProxyType({})
    """Desired: by uid, what the accounts' `disk` says."""
    wanted: Mapping[QuotaKey, QuotaSpec] = MappingProxyType({})
    """Desired: `sold` by file system, and the earlier quotas that are to be lifted or stay. Compared with `allowed`."""
    allowed: Mapping[QuotaKey, Quota] = MappingProxyType({})
    """Observed: the quotas that are set, of the keys that are desired or `applied` and could be read."""
    filesystems: Mapping[str, FileSystem] = MappingProxyType({})
    """Observed: by QuotaSpec.path, the file system that it is on."""
    unsupported: Mapping[str, str] = MappingProxyType({})
    """Observed: by account directory, why a quota of its users cannot be set."""
    applied: Mapping[QuotaKey, str] = MappingProxyType({})
    """Observed: the quotas that we have set, with the account directory, from AppliedQuotaStore."""
    mountpoints: Mapping[QuotaKey, str] = MappingProxyType({})
    """Observed: the mount point of each of the `applied` that is no longer desired and could be read."""


class QuotaUsage(NamedTuple):
    """What a user has on a file system, `space` in bytes and `files`, and what is allowed."""

    space: int
    files: int
    allowed: Quota


class AppliedQuotaStore(Protocol):
    """Stores which quotas we have set, with the account directory. The kernel does not tell who has set a quota."""

    def load(self) -> Mapping[QuotaKey, str]: ...

    def save(self, given: Mapping[QuotaKey, str]) -> None: ...


class QuotaPort(Protocol):
    """Sets quotas. linux/quota implements it; a machine without quotas does not import that.
    `observe` takes the desired `sold`. `set` returns one text for each: the error, or ''."""

    def observe(self, account: Mapping[int, QuotaSpec]) -> Quotas: ...

    def set(self, wanted: Mapping[QuotaKey, QuotaSpec]) -> list[str]: ...
