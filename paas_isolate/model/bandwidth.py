"""Bandwidth that is sold: an HTB class on each interface shapes what an account sends, and what it receives is policed
where the socket is known. Rates are in bytes a second, as tc-htb(8) and nft(8) have them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from paas_isolate.model.network import UidRange

MAJOR = 0x7061
"""The major number of our root qdiscs: `7061:`, and `7061:NUMBER` for the class of an account."""
CLASSES = 0xFFFE
"""Numbers of accounts' classes: from 1 to this. 0 is the qdisc itself."""
REST = 0xFFFF
"""The class of all that is in no account's class. Without one HTB would send that before any class, so that an account
with a limit would get nothing while the others fill the interface."""
REST_RATE = 12_500_000_000
"""Bytes a second: no interface with a single queue is faster."""


class SoldBandwidth(NamedTuple):
    """What an account may send and receive; None: any rate. `users` are its uids by name."""

    users: Mapping[str, int]
    out: int | None
    into: int | None


class Interface(NamedTuple):
    """A network interface that leads to other machines, or that has a root qdisc of ours. `has_root`: its root qdisc is
    ours. `foreign` is the kind of a root qdisc that is not replaced; '' for the kernel's defaults."""

    has_root: bool = False
    routed: bool = True
    foreign: str = ""


class ClassKey(NamedTuple):
    """One account on one interface."""

    interface: str
    number: int

    def __str__(self) -> str:
        return f"class {MAJOR:x}:{self.number:x} of {self.interface}"


class Sender(NamedTuple):
    """What these uids send goes to the class of this number."""

    uids: UidRange
    number: int


class Receiver(NamedTuple):
    """What these uids receive counts to the limit of this number, which is `rate`."""

    uids: UidRange
    number: int
    rate: int


class BandwidthRules(NamedTuple):
    """What our table of nftables for bandwidth has."""

    senders: frozenset[Sender] = frozenset()
    receivers: frozenset[Receiver] = frozenset()


class Bandwidth(NamedTuple):
    """The bandwidth, desired or observed."""

    sold: Mapping[str, SoldBandwidth] = MappingProxyType({})
    """Desired: by account directory. The other desired fields follow from it and from the interfaces there are."""
    interfaces: Mapping[str, Interface] | None = None
    """Observed, by name; None where nothing was observed, and nothing is desired then. Desired: those with a root qdisc
    of ours."""
    subordinate: Mapping[str, tuple[UidRange, ...]] = MappingProxyType({})
    """Observed: the subordinate uids of users, by name or by uid as text."""
    classes: Mapping[ClassKey, int] = MappingProxyType({})
    """The rates. Observed: 0 where a class is not as we make it."""
    owners: Mapping[int, str] = MappingProxyType({})
    """Desired: the account directory of each number."""
    rules: BandwidthRules | None = None
    """Desired: None where there should be no table. Observed: also None where more than elements was changed."""
    has_rules: bool = False
    """Whether there is a table of ours, intact or not."""


class BandwidthPort(Protocol):
    """Changes the bandwidth. linux/network implements it; a machine where none is sold does not import that. The
    methods with several return one text for each: the error, or ''. `set_rules` raises HostError."""

    def observe(self, subordinate: Mapping[str, tuple[UidRange, ...]] | None = None) -> Bandwidth:
        """Reads only. `subordinate` is the field of the result, where the caller has it."""

    def end(self) -> None:
        """Forget that there is something of ours, where nothing is left."""

    def add_roots(self, interfaces: Iterable[str]) -> list[str]: ...

    def remove_roots(self, interfaces: Iterable[str]) -> list[str]: ...

    def set_classes(self, classes: Mapping[ClassKey, int]) -> list[str]: ...

    def remove_classes(self, classes: Iterable[ClassKey]) -> list[str]: ...

    def set_rules(self, wanted: BandwidthRules | None, found: BandwidthRules | None) -> None: ...
