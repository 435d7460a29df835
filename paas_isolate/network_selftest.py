"""Whether the network keeps its promises: really tried, by short-lived processes of the customers' own uids.

Each customer is played by a player, who serves, knocks and tries to take what is another's. Who was heard is asked of
the servers, not of those who knocked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import permutations
from typing import NamedTuple

from paas_isolate.linux.network.probe import NOBODY, Probe, ProbeProcess
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.network import Grant, Rules

KINDS = ("tcp", "udp")
_PORTS = 3
"""So many are tried where one is to be had by all."""


class NetworkCheck(NamedTuple):
    """`tried` counts the attempts; `broken` has a sentence for each that did not end as it must."""

    name: str
    tried: int
    broken: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return not self.broken


class Participants(NamedTuple):
    """Who plays: each customer's player with the account, and who else knocks."""

    customers: tuple[tuple[ProbeProcess, Account], ...]
    others: tuple[ProbeProcess, ...]

    @property
    def all(self) -> tuple[ProbeProcess, ...]:
        return (*(player for player, _ in self.customers), *self.others)


def run_checks(
    fleet: Fleet, rules: Rules, accounts: Sequence[Account], leaves: Mapping[str, str]
) -> tuple[NetworkCheck, ...]:
    """`leaves` are absolute cgroups by account, for who must be there to be governed. OSError when no process can be
    started."""
    with ExitStack() as stack:
        customers = tuple(_played(stack, account, leaves.get(account.name, "")) for account in accounts)
        some = next(iter(leaves.values()), "")  # it is the uid that counts
        uids = sorted({NOBODY, *fleet.frontends} - _uids(accounts))
        others = tuple(stack.enter_context(ProbeProcess(uid, some)) for uid in uids)
        troupe = Participants(customers, others)
        knocks = _knocks(troupe, rules)
        return (
            _reached(knocks, "who may connect is heard", may=True),
            _reached(knocks, "who may not connect is not heard", may=False),
            _taken(troupe),
            *_localhost(troupe),
        )


def _played(stack: ExitStack, account: Account, leaf: str) -> tuple[ProbeProcess, Account]:
    uid = account.uids.get(account.owner, min(account.uids.values()))  # an owner may be exempt
    return stack.enter_context(ProbeProcess(uid, leaf)), account


def _uids(accounts: Iterable[Account]) -> set[int]:
    return {uid for account in accounts for uid in account.uids.values()}


class _Tried(NamedTuple):
    by: ProbeProcess
    knock: Probe
    may: bool
    heard: bool


def _knocks(troupe: Participants, rules: Rules) -> tuple[_Tried, ...]:
    """Everybody at every address of every customer, by TCP and UDP."""
    knocks: dict[ProbeProcess, list[Probe]] = {
        player: [Probe(address, player.serve(address, kind), kind) for address in account.addresses for kind in KINDS]
        for player, account in troupe.customers
    }
    everywhere = [knock for some in knocks.values() for knock in some]
    for player in troupe.all:
        player.knock(everywhere)
    grants = rules.owners | rules.peers
    allowed = {
        knock: {by.uid for by in troupe.all if by.uid in rules.frontends or Grant(by.uid, knock.address) in grants}
        for knock in everywhere
    }
    heard = {knock: player.heard(knock, allowed[knock]) for player, some in knocks.items() for knock in some}
    return tuple(
        _Tried(by, knock, by.uid in allowed[knock], by.uid in heard[knock]) for by in troupe.all for knock in everywhere
    )


def _reached(tried: Iterable[_Tried], name: str, *, may: bool) -> NetworkCheck:
    some = [it for it in tried if it.may == may]
    was = "was heard" if not may else "was not heard"
    wrong = (f"uid {it.by.uid} {was} at {it.knock}" for it in some if it.heard != may)
    return NetworkCheck(name, len(some), tuple(wrong))


def _taken(troupe: Participants) -> NetworkCheck:
    """Nobody can bind what is another's, which would keep its owner out."""
    tried, broken = 0, []
    for player in troupe.all:
        for owner, account in troupe.customers:
            if owner.uid == player.uid or player.uid in account.uids.values():
                continue
            for address in (*account.addresses, f"::ffff:{account.addresses[0]}"):
                for kind in KINDS:
                    tried += 1
                    if player.take(address, kind):
                        broken.append(f"uid {player.uid} could bind {address} by {kind}")
    return NetworkCheck("nobody serves on another's address", tried, tuple(broken))


def _localhost(troupe: Participants) -> Iterator[NetworkCheck]:
    """One port for all, by localhost: each is heard at home, and nowhere else."""
    tried, broken = 0, []
    own = [player for player, account in troupe.customers if account.loopback != "shared"]
    for asked in ("127.0.0.1", "::1"):
        knocks = _served_alike(own, asked)
        for player, knock in knocks.items():
            player.knock([knock])
        heard = {player: player.heard(knock, {player.uid}) for player, knock in knocks.items()}
        for player in own:
            tried += 1
            if heard[player] != {player.uid}:
                broken.append(f"uid {player.uid} at {asked} was heard by others, or heard {sorted(heard[player])}")
    yield NetworkCheck("localhost is one's own", tried, tuple(broken))
    pairs = list(permutations(own, 2))
    same = [f"uids {a.uid} and {b.uid} cannot both have a port" for a, b in pairs if a.port != b.port]
    yield NetworkCheck("two serve at the same port of localhost", len(pairs), tuple(same))


def _served_alike(own: Iterable[ProbeProcess], address: str) -> dict[ProbeProcess, Probe]:
    """All at one port; another one is tried where a server of an earlier attempt happens to have it."""
    knocks: dict[ProbeProcess, Probe] = {}
    for _ in range(_PORTS):
        port = 0
        for player in own:
            knocks[player] = Probe(address, player.serve(address, "tcp", port), "tcp")
            port = port or player.port
        if all(knock.port for knock in knocks.values()):
            break
    return knocks
