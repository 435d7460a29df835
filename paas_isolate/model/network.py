"""The network of the accounts: which address is whose.

Addresses are text as inet_ntop(3) writes it: one has one text, and a colon tells IPv6.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

LINK = "paas0"
"""The dummy link that the addresses stand on; `lo` where the kernel has no dummy links."""

Address = str


class Network(NamedTuple):
    """`addresses` tells the directory of the account that has each; of an observed network, the link that it is on."""

    addresses: Mapping[Address, str] = MappingProxyType({})


class Wires(Protocol):
    """What addresses stand on. The hand is in linux/links, which a machine without a network of ours never imports."""

    def look(self) -> dict[Address, str]: ...

    def add(self, addresses: Iterable[Address]) -> list[str]: ...

    def remove(self, addresses: Iterable[Address]) -> list[str]: ...
