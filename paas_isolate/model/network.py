"""The network of the accounts: which address is whose.

Addresses are text as inet_ntop(3) writes it: one has one text, and a colon tells IPv6.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

LINK = "paas0"
"""The dummy link that the addresses stand on; `lo` where the kernel has no dummy links."""

DOMAIN = "paas.internal"
"""Of the accounts' names; ICANN keeps .internal free for private use."""

Address = str


class Pools(NamedTuple):
    """Where the addresses of accounts come from, all of them, as `10.77.0.0/16` and `fd77:7061:6173::/64`."""

    v4: str
    v6: str

    def has(self, address: bytes) -> bool:
        """Whether an address of 4 or 16 bytes is of them."""
        first, mask = network(self.v4 if len(address) == 4 else self.v6)
        return bytes(a & b for a, b in zip(address, mask, strict=True)) == first


def network(text: str) -> tuple[bytes, bytes]:
    """First address and mask of a network such as `10.77.0.0/16`."""
    from socket import AF_INET, AF_INET6, inet_pton  # a machine without a network of ours does not pay for it

    first, _, bits = text.partition("/")
    packed = inet_pton(AF_INET6 if ":" in first else AF_INET, first)
    size = 8 * len(packed)
    mask = (1 << size) - (1 << size - int(bits))
    return (int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big"), mask.to_bytes(len(packed), "big")


class Grant(NamedTuple):
    """A uid that may use, or may connect to, one address of the pool."""

    uid: int
    address: Address


class Published(NamedTuple):
    """A port of the machine that leads to a port of an account's address, for TCP and UDP."""

    port: int
    address: Address
    to: int


class EgressAssignment(NamedTuple):
    """What of a uid's packets may leave the machine, as `Sold.egress` says it."""

    uid: int
    egress: tuple[str, ...]


class Rules(NamedTuple):
    """`owners` serve on their addresses and connect to them, `peers` connect; `frontends` connect to all. Whoever asks
    for what is `published` is led to it. Who is `restrained` reaches less than the whole world."""

    owners: frozenset[Grant] = frozenset()
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()
    published: frozenset[Published] = frozenset()
    egress: frozenset[EgressAssignment] = frozenset()

    def without(self, others: "Rules") -> "Rules":
        """What these say and those do not."""
        return Rules(
            self.owners - others.owners,
            self.peers - others.peers,
            self.frontends - others.frontends,
            self.published - others.published,
            self.egress - others.egress,
        )


class UidAddresses(NamedTuple):
    """The addresses of a customer's uid, which is what localhost means to it; not where that is `shared`."""

    v4: Address
    v6: Address
    shared: bool = False


class Gate(NamedTuple):
    """What the BPF programs go by: the homes of customers' uids, and who else may connect where, as in Rules."""

    homes: Mapping[int, UidAddresses] = MappingProxyType({})
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()


class Network(NamedTuple):
    """`addresses` tells the directory of the account that has each; of an observed network, the link that it is on.
    `rules` are None where there is no `ruleset` of ours, or one that somebody has changed otherwise than by element.
    `gate` is None where nothing is `gated`, or not wholly as it should be. `unable` is why this machine cannot have a
    gate: it is neither laid nor missed then. `names` are our lines of hosts(5), None where the marks around them are
    spoilt. `taken` are the ports to be published on which the machine itself listens.
    """

    addresses: Mapping[Address, str] = MappingProxyType({})
    rules: Rules | None = None
    has_ruleset: bool = False
    gate: Gate | None = None
    has_gate: bool = False
    gate_unsupported: str = ""
    names: tuple[str, ...] | None = ()
    ports_in_use: frozenset[int] = frozenset()


class PreparedRuleset(NamedTuple):
    """A ruleset that was laid, spelled out for the day on which it is gone; while the machine itself listened at these
    of the ports that are to be published."""

    rendered: bytes
    ports_in_use: frozenset[int]


class NetworkPort(Protocol):
    """The hands in the network. They are in linux/wires, which a machine without a network of ours never imports.
    `add` and `remove` answer what went wrong with each, '' where nothing did."""

    def observe(self) -> Network:
        """Reads only."""

    def remember(self) -> None:
        """Save what the last `observe` had to list; called at the end of a pass that may write."""

    def has_ruleset(self) -> bool:
        """Whether there is a ruleset of ours, whatever it says: a look at nothing else."""

    def ports_in_use(self) -> frozenset[int]:
        """The ports that the machine serves itself, of those that are to be published."""

    def prepare(self, rules: Rules) -> PreparedRuleset:
        """Of the rules that are laid. HostError."""

    def install_prepared(self, prepared: PreparedRuleset, rules: Callable[[], Rules | None]) -> None:
        """Where no ruleset is; what was prepared says `rules`, which are asked for when it is laid. HostError."""

    def add(self, addresses: Iterable[Address]) -> list[str]: ...

    def remove(self, addresses: Iterable[Address]) -> list[str]: ...

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None: ...

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None: ...

    def set_names(self, lines: tuple[str, ...]) -> None: ...
