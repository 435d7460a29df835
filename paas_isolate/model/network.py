"""The network of the accounts: which address is whose.

Addresses are text as inet_ntop(3) writes it: one has one text, and a colon tells IPv6.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

LINK = "paas0"
"""The dummy link that the addresses stand on; `lo` where the kernel has no dummy links."""

Address = str


class Pools(NamedTuple):
    """Where the addresses of accounts come from, all of them, as `10.77.0.0/16` and `fd77:7061:6173::/64`."""

    v4: str
    v6: str


class Grant(NamedTuple):
    """A uid that may use, or may connect to, one address of the pool."""

    uid: int
    address: Address


class Rules(NamedTuple):
    """`owners` serve on their addresses and connect to them, `peers` connect; `frontends` connect to all."""

    owners: frozenset[Grant] = frozenset()
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()


class Home(NamedTuple):
    """The addresses of a customer's uid, which is what localhost means to it; not where that is `shared`."""

    v4: Address
    v6: Address
    shared: bool = False


class Gate(NamedTuple):
    """What the BPF programs go by: the homes of customers' uids, and who else may connect where, as in Rules."""

    homes: Mapping[int, Home] = MappingProxyType({})
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()


class Network(NamedTuple):
    """`addresses` tells the directory of the account that has each; of an observed network, the link that it is on.
    `rules` are None where there is no `ruleset` of ours, or one that somebody has changed otherwise than by element.
    `gate` is None where nothing is `gated`, or not wholly as it should be. `unable` is why this machine cannot have a
    gate: it is neither laid nor missed then.
    """

    addresses: Mapping[Address, str] = MappingProxyType({})
    rules: Rules | None = None
    ruleset: bool = False
    gate: Gate | None = None
    gated: bool = False
    unable: str = ""


class Wires(Protocol):
    """The hands in the network. They are in linux/wires, which a machine without a network of ours never imports.
    `add` and `remove` answer what went wrong with each, '' where nothing did."""

    def look(self) -> Network: ...

    def add(self, addresses: Iterable[Address]) -> list[str]: ...

    def remove(self, addresses: Iterable[Address]) -> list[str]: ...

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None: ...

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None: ...
