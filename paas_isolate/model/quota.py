"""How much of a file system is a user's: user quotas, as quotactl(2) has them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

BLOCK = 1024
"""Bytes: what the kernel keeps limits of space in (QIF_DQBLKSIZE, linux/quota.h)."""


class Quota(NamedTuple):
    """Hard limits, of blocks and of files; 0 is the kernel's word for none."""

    blocks: int = 0
    files: int = 0

    def __str__(self) -> str:
        space = f"{self.blocks} blocks of 1K" if self.blocks else "any space"
        return f"{space}, {self.files or 'any'} files"


class Quotas(NamedTuple):
    """By uid; `unable` is, by account directory, why its users can have none. `whose` tells directory and home
    of those that are desired."""

    allowed: Mapping[int, Quota] = MappingProxyType({})
    whose: Mapping[int, tuple[str, str]] = MappingProxyType({})
    unable: Mapping[str, str] = MappingProxyType({})


class Usage(NamedTuple):
    """Bytes and files that are a user's, and what is allowed."""

    space: int
    files: int
    allowed: Quota
