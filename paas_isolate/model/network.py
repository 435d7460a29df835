"""The network of the accounts: addresses, ruleset, gate and names.

An address is text as inet_ntop(3) writes it, so each has one text only. IPv6 has a colon in it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

OLD_LINK = "paas0"
"""The dummy link on which 0.1 had an address for each account; they were on lo where the kernel has no dummy links."""

SOURCE6 = "fd77:7061:6174::1"
"""Where a client has not bound an IPv6 address, its connections to addresses of the pool come from here. No pool has
it: packets back to it are not for an account."""

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


class RangeEgress(NamedTuple):
    """The same for subordinate uids, from `first` to `last`."""

    first: int
    last: int
    egress: tuple[str, ...]


class UidRange(NamedTuple):
    """Uids from `first` to `last`: one user's own, or the subordinate ones that subuid(5) gives."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Rules(NamedTuple):
    """What the ruleset allows and redirects. `owners` may bind their addresses and connect to them, `peers` may only
    connect. `frontends` are uids that may connect to all addresses. `published` are the ports that are redirected.
    `egress` has the uids whose outgoing packets are restricted, `range_egress` the subordinate ones. What of
    `subordinates` may connect, and to which address, only the gate decides. `translates`: the table has the chains of
    NAT, which slow down each packet."""

    owners: frozenset[Grant] = frozenset()
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()
    published: frozenset[Published] = frozenset()
    egress: frozenset[EgressAssignment] = frozenset()
    subordinates: frozenset[UidRange] = frozenset()
    range_egress: frozenset[RangeEgress] = frozenset()
    translates: bool = False

    def without(self, others: "Rules") -> "Rules":
        """The difference: which elements are in these rules and not in the others."""
        return Rules(
            self.owners - others.owners,
            self.peers - others.peers,
            self.frontends - others.frontends,
            self.published - others.published,
            self.egress - others.egress,
            self.subordinates - others.subordinates,
            self.range_egress - others.range_egress,
            self.translates,
        )


class UidAddresses(NamedTuple):
    """The addresses of a customer's uid. The gate puts them in place of localhost, unless loopback is `shared`."""

    v4: Address
    v6: Address
    shared: bool = False


SUBORDINATE_RANGES = 2
"""How many ranges of subordinate uids an account can have; more are not governed. Tools give a user one."""


class Subordinates(NamedTuple):
    """The subordinate uids of an account's users (subuid(5)). Processes with these are treated as those of `uid`."""

    uid: int
    ranges: tuple[UidRange, ...]


class Gate(NamedTuple):
    """The maps of the BPF programs. `homes` are the addresses of each customer's uid; `peers` and `frontends` as in
    Rules. `subordinates` are those of accounts whose cgroup exists, by account directory. `translates` as in
    Rules: packets from outside may be for an account."""

    homes: Mapping[int, UidAddresses] = MappingProxyType({})
    peers: frozenset[Grant] = frozenset()
    frontends: frozenset[int] = frozenset()
    subordinates: Mapping[str, Subordinates] = MappingProxyType({})
    translates: bool = False


class Network(NamedTuple):
    """The network, desired or observed. One field is desired only, some are observed only; the others are set on both
    sides and compared."""

    addresses: Mapping[Address, str] = MappingProxyType({})
    """Desired only: address -> account directory."""
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
    leaves: bool = False
    """Observed only: whether a socket that is bound to an address of the pools has sent to another machine."""
    subordinates: Mapping[str, tuple[UidRange, ...]] = MappingProxyType({})
    """Observed only: the subordinate uids of each user of the machine, by login name or by uid in digits."""
    account_cgroups: frozenset[str] = frozenset()
    """Observed only: the account directories that have a cgroup; empty where no user has subordinate uids, or where
    this machine cannot have a gate."""
    local: Mapping[str, bool] = MappingProxyType({})
    """The networks of ours that are local to this machine, and whether all is there that they need. Desired: both
    pools. Observed: also single addresses, of which version 0.1 had one for each account."""


class Polled(NamedTuple):
    """What the rules follow from, and no event tells: the fields of Network."""

    ports_in_use: frozenset[int] = frozenset()
    leaves: bool = False


class PreparedRuleset(NamedTuple):
    """A ruleset as text for nft(8), to install it again quickly, and the rules in it. `polled` as it was when the text
    was made."""

    rendered: bytes
    rules: Rules
    polled: Polled


class NetworkPort(Protocol):
    """Changes the network. linux/network implements it; a machine without `network:` does not import that.
    `add` and `remove` return one text for each network or address: the error, or ''. `prepare`, `install_prepared` and
    `set_...` raise HostError."""

    def observe(self) -> Network:
        """Reads only."""

    def remember(self) -> None:
        """Save what the last `observe` had to list; called at the end of a pass that may write."""

    def has_ruleset(self) -> bool:
        """Whether there is a ruleset of ours, whatever is in it. Faster than `observe`."""

    def polled(self) -> Polled:
        """What is to be looked at often. Faster than `rule_inputs`."""

    def rule_inputs(self) -> Network:
        """What the rules follow from beside the fleet: what is polled, `subordinates` and `gate_unsupported`. The
        other fields are empty. Faster than `observe`, and works where the gate cannot be observed."""

    def prepare(self, rules: Rules) -> PreparedRuleset:
        """The text of these rules, which are installed now."""

    def install_prepared(self, prepared: PreparedRuleset) -> None:
        """Install a prepared ruleset where there is none."""

    def add(self, networks: Iterable[str]) -> list[str]: ...

    def remove(self, networks: Iterable[str]) -> list[str]: ...

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None: ...

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None: ...

    def set_names(self, lines: tuple[str, ...]) -> None: ...
