"""The network of the accounts: addresses, ruleset, gate and names.

An address is text as inet_ntop(3) writes it, so each has one text only. IPv6 has a colon in it.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

LINK = "paas0"
"""The dummy link that has the addresses; `lo` has them where the kernel has no dummy links."""

PINS = "/sys/fs/bpf/paas-isolate"
"""The directory in bpffs that keeps the gate attached."""

RULESET = "ruleset"
"""The name of the file that has the ruleset: in /run/paas-isolate with the number of a transaction, for nft takes half
a second to list tens of thousands of elements; and in /var/lib/paas-isolate from one boot to the next."""

DOMAIN = "paas.internal"
"""The domain of the accounts' names. ICANN reserves .internal for private use."""

Address = str


class Pools(NamedTuple):
    """The networks of which all addresses of accounts are, such as `10.77.0.0/16` and `fd77:7061:6173::/64`."""

    v4: str
    v6: str

    def has(self, address: bytes) -> bool:
        """Whether an address, of 4 or 16 bytes in network byte order, is in one of the two."""
        first, mask = network(self.v4 if len(address) == 4 else self.v6)
        return bytes(a & b for a, b in zip(address, mask, strict=True)) == first


def network(text: str) -> tuple[bytes, bytes]:
    """First address and mask, in network byte order, of a network such as `10.77.0.0/16`."""
    from socket import AF_INET, AF_INET6, inet_pton  # slow to import: only machines with `network:` need it

    first, _, bits = text.partition("/")
    packed = inet_pton(AF_INET6 if ":" in first else AF_INET, first)
    size = 8 * len(packed)
    mask = (1 << size) - (1 << size - int(bits))
    return (int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big"), mask.to_bytes(len(packed), "big")


class Grant(NamedTuple):
    """A uid that may bind, or may connect to, one address of the pools."""

    uid: int
    address: Address


class Published(NamedTuple):
    """`port` of the machine is redirected to port `to` of an account's address, for TCP and UDP."""

    port: int
    address: Address
    to: int


class EgressAssignment(NamedTuple):
    """Which of a uid's packets may leave the machine, as Account.egress says it."""

    uid: int
    egress: tuple[str, ...]


class Rules(NamedTuple):
    """What the ruleset allows and redirects. `owners` may bind their addresses and connect to them, `peers` may only
    connect. `frontends` are uids that may connect to all addresses. `published` are the ports that are redirected.
    `egress` has the uids whose outgoing packets are restricted."""

    owners: frozenset[Grant] = frozenset()
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()
    published: frozenset[Published] = frozenset()
    egress: frozenset[EgressAssignment] = frozenset()

    def without(self, others: "Rules") -> "Rules":
        """The difference: what is in these rules and not in the others."""
        return Rules(
            self.owners - others.owners,
            self.peers - others.peers,
            self.frontends - others.frontends,
            self.published - others.published,
            self.egress - others.egress,
        )


class UidAddresses(NamedTuple):
    """The addresses of a customer's uid. The gate puts them in place of localhost, unless loopback is `shared`."""

    v4: Address
    v6: Address
    shared: bool = False


class Gate(NamedTuple):
    """The maps of the BPF programs. `homes` are the addresses of each customer's uid; `peers` and `frontends` as in
    Rules."""

    homes: Mapping[int, UidAddresses] = MappingProxyType({})
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()


class Network(NamedTuple):
    """The network, desired or observed. Two fields are observed only; the others are set on both sides and compared."""

    addresses: Mapping[Address, str] = MappingProxyType({})
    """Desired: address -> account directory. Observed: address -> the link that has it. Only the keys are compared."""
    rules: Rules | None = None
    """Desired: None without `network:`. Observed: also None where the ruleset cannot be changed by element, because
    somebody else has changed more of it than elements."""
    has_ruleset: bool = False
    """Desired: whether there should be a ruleset. Observed: whether there is one of ours, intact or not."""
    gate: Gate | None = None
    """Desired: None without `network:`. Observed: also None where the gate is not intact."""
    has_gate: bool = False
    """Desired: whether there should be a gate. Observed: whether there is anything of one."""
    gate_unsupported: str = ""
    """Observed only: why this machine cannot have a gate, which is not compared then; '' where it can."""
    names: tuple[str, ...] | None = ()
    """Our lines of hosts(5). Observed: None where the marks around them are damaged."""
    ports_in_use: frozenset[int] = frozenset()
    """Observed only: the ports to publish on which the machine itself listens."""


class PreparedRuleset(NamedTuple):
    """A ruleset as text for nft(8), to install it again quickly. `ports_in_use` as it was when the text was made."""

    rendered: bytes
    ports_in_use: frozenset[int]


class NetworkPort(Protocol):
    """Changes the network. linux/network implements it; a machine without `network:` does not import that.
    `add` and `remove` return one text for each address: the error, or ''. `prepare`, `install_prepared` and
    `set_...` raise HostError."""

    def observe(self) -> Network:
        """Reads only."""

    def remember(self) -> None:
        """Save what the last `observe` had to list; called at the end of a pass that may write."""

    def has_ruleset(self) -> bool:
        """Whether there is a ruleset of ours, whatever is in it. Faster than `observe`."""

    def ports_in_use(self) -> frozenset[int]:
        """The ports to publish on which the machine itself listens."""

    def prepare(self, rules: Rules) -> PreparedRuleset:
        """The text of these rules, which are installed now."""

    def install_prepared(self, prepared: PreparedRuleset, rules: Callable[[], Rules | None]) -> None:
        """Install a prepared ruleset where there is none. `rules` returns its rules; it is called after the install."""

    def add(self, addresses: Iterable[Address]) -> list[str]: ...

    def remove(self, addresses: Iterable[Address]) -> list[str]: ...

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None: ...

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None: ...

    def set_names(self, lines: tuple[str, ...]) -> None: ...
