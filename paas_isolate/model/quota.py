"""How much of a file system is a user's: user quotas, as quotactl(2) has them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

BLOCK = 1024
"""Bytes: what the kernel keeps limits of space in (QIF_DQBLKSIZE, linux/quota.h)."""


class Quota(NamedTuple):
    """Hard limits, of blocks and of files; 0 is the kernel's word for none."""

    blocks: int = 0
    files: int = 0

    def __str__(self) -> str:
        space = f"{self.blocks} blocks of 1K" if self.blocks else "any space"
        return f"{space}, {self.files or 'any'} files"

    def in_grains(self, grain: int) -> "Quota":
        """As a file system keeps it that counts in so many blocks: never less."""
        return self._replace(blocks=-(-self.blocks // grain) * grain)


UNLIMITED = Quota()


class QuotaKey(NamedTuple):
    """Where a file system keeps the limits of one user. `system` is its name for good, on whatever device."""

    system: str
    uid: int


class FileSystem(NamedTuple):
    """`grain` is the number of blocks that it rounds limits up to: XFS counts in its own blocks."""

    name: str
    grain: int = 1


class QuotaSpec(NamedTuple):
    """What a user of an account is to have. `path` lies on the file system, or is to be made there (a home)."""

    directory: str
    path: str
    quota: Quota


class Quotas(NamedTuple):
    """Wanted are `sold`, by uid, and with what is to be lifted or stays as it is, `wanted`. The rest is observed: what
    the rows say (`allowed`), the file system of each home that was sold some (`systems`), why an account's users can
    have none (`unable`), the rows that were given limits, with the account's directory (`given`), and where those of
    them that nobody is sold now can be reached (`points`)."""

    sold: Mapping[int, QuotaSpec] = MappingProxyType({})
    wanted: Mapping[QuotaKey, QuotaSpec] = MappingProxyType({})
    allowed: Mapping[QuotaKey, Quota] = MappingProxyType({})
    filesystems: Mapping[str, FileSystem] = MappingProxyType({})
    unsupported: Mapping[str, str] = MappingProxyType({})
    applied: Mapping[QuotaKey, str] = MappingProxyType({})
    mountpoints: Mapping[QuotaKey, str] = MappingProxyType({})


class QuotaUsage(NamedTuple):
    """Bytes and files that are a user's, and what is allowed."""

    space: int
    files: int
    allowed: Quota


class AppliedQuotaStore(Protocol):
    """Which rows were given limits, and by which account: what the kernel cannot tell from those of others."""

    def load(self) -> Mapping[QuotaKey, str]: ...

    def save(self, given: Mapping[QuotaKey, str]) -> None: ...


class QuotaPort(Protocol):
    """The hands that set quotas. They are in linux/rations, which a machine without them never imports.
    `set` answers what went wrong with each, '' where nothing did."""

    def observe(self, account: Mapping[int, QuotaSpec]) -> Quotas: ...

    def set(self, wanted: Mapping[QuotaKey, QuotaSpec]) -> list[str]: ...
