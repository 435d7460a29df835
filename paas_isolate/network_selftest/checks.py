"""Tests the promises of the network with real connections, made by short-lived processes with the customers' uids.

Each customer has one such process. It listens on the account's addresses, connects to those of others, and tries to
bind them. Whether a connection arrived is asked of the process that listens, not of the one that connected.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import permutations, product
from typing import NamedTuple

from paas_isolate.linux.network.probe import NOBODY, Probe, ProbeProcess
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.network import Grant, Rules
from paas_isolate.network_selftest.check import NetworkCheck, Participants
from paas_isolate.network_selftest.outside import egress_checks, publish_checks

KINDS = ("tcp", "udp")
_PORTS = 3
"""How many ports are tried to find one that all processes can listen on."""


def run_checks(
    fleet: Fleet, rules: Rules, accounts: Sequence[Account], leaves: Mapping[str, str]
) -> tuple[NetworkCheck, ...]:
    """Test all promises between `accounts`, and with the front ends and nobody.

    `leaves` has absolute paths of cgroups by account name, for accounts whose process must be in its leaf to be
    governed. A promise that nothing can be tested of is left out. Raises OSError when a process cannot be started or
    ends early.
    """
    with ExitStack() as stack:
        customers = tuple(_start(stack, account, leaves.get(account.name, "")) for account in accounts)
        leaf = next(iter(leaves.values()), "")  # any leaf: the others are governed by their uid
        uids = sorted({NOBODY, *fleet.frontends} - _uids(accounts))
        others = tuple(stack.enter_context(ProbeProcess(uid, leaf)) for uid in uids)
        participants = Participants(customers, others)
        attempts = _connect_all(participants, rules)
        checks = (
            _reached(attempts, "who may connect is heard", may=True),
            _reached(attempts, "who may not connect is not heard", may=False),
            _reached(
                [attempt for attempt in attempts if attempt.client.uid in rules.frontends],
                "a front end is heard by every account",
                may=True,
            ),
            _own_sources(participants, rules),
            _bind_all(participants),
            *_localhost(participants),
            *publish_checks(participants, fleet),
            *egress_checks(participants),
        )
    return tuple(check for check in checks if check.tried)


def _start(stack: ExitStack, account: Account, leaf: str) -> tuple[ProbeProcess, Account]:
    uid = account.uids.get(account.owner, min(account.uids.values()))  # an owner may be exempt
    return stack.enter_context(ProbeProcess(uid, leaf)), account


def _uids(accounts: Iterable[Account]) -> set[int]:
    return {uid for account in accounts for uid in account.uids.values()}


class _Attempt(NamedTuple):
    client: ProbeProcess
    probe: Probe
    may: bool
    heard: bool


def _connect_all(participants: Participants, rules: Rules) -> tuple[_Attempt, ...]:
    """Each process connects to every address of every customer, by TCP and UDP."""
    by_server: dict[ProbeProcess, list[Probe]] = {
        server: [Probe(address, server.serve(address, kind), kind) for address in account.addresses for kind in KINDS]
        for server, account in participants.customers
    }
    probes = [probe for own in by_server.values() for probe in own]
    for client in participants.all:
        client.knock(probes)
    grants = rules.owners | rules.peers
    allowed = {
        probe: {
            client.uid
            for client in participants.all
            if client.uid in rules.frontends or Grant(client.uid, probe.address) in grants
        }
        for probe in probes
    }
    heard = {probe: server.heard(probe, allowed[probe]) for server, own in by_server.items() for probe in own}
    return tuple(
        _Attempt(client, probe, client.uid in allowed[probe], client.uid in heard[probe])
        for client in participants.all
        for probe in probes
    )


def _reached(attempts: Iterable[_Attempt], name: str, *, may: bool) -> NetworkCheck:
    chosen = [attempt for attempt in attempts if attempt.may == may]
    was = "was heard" if not may else "was not heard"
    wrong = (f"uid {attempt.client.uid} {was} at {attempt.probe}" for attempt in chosen if attempt.heard != may)
    return NetworkCheck(name, len(chosen), tuple(wrong))


def _own_sources(participants: Participants, rules: Rules) -> NetworkCheck:
    """A peer that connects from its own address is heard with it: a server can tell its peers apart."""
    tried, broken = 0, []
    for server, account in participants.customers:
        peers = [
            (client, theirs)
            for client, theirs in participants.customers
            if client != server and Grant(client.uid, account.addresses[0]) in rules.peers
        ]
        for address, kind in product(account.addresses, KINDS) if peers else ():
            probe = Probe(address, server.serve(address, kind), kind)
            sources = {client.uid: _of_family(theirs.addresses, address) for client, theirs in peers}
            for client, _ in peers:
                client.knock([probe], sources[client.uid])
            heard = server.heard_from(probe, sources)
            tried += len(peers)
            broken += [
                f"uid {uid} at {source} was heard as {heard.get(uid, 'nobody')} at {probe}"
                for uid, source in sources.items()
                if heard.get(uid) != source
            ]
    return NetworkCheck("a peer is heard with its own address", tried, tuple(broken))


def _of_family(addresses: Iterable[str], like: str) -> str:
    return next((address for address in addresses if (":" in address) == (":" in like)), "")


def _bind_all(participants: Participants) -> NetworkCheck:
    """Nobody can bind an address of another account, which would take the port from its owner."""
    tried, broken = 0, []
    for process in participants.all:
        for owner, account in participants.customers:
            if owner.uid == process.uid or process.uid in account.uids.values():
                continue
            for address in (*account.addresses, f"::ffff:{account.addresses[0]}"):
                for kind in KINDS:
                    tried += 1
                    if process.take(address, kind):
                        broken.append(f"uid {process.uid} could bind {address} by {kind}")
    return NetworkCheck("nobody serves on another's address", tried, tuple(broken))


def _localhost(participants: Participants) -> Iterator[NetworkCheck]:
    """All listen on one port of localhost and connect to it: each reaches itself, and no other."""
    tried, broken = 0, []
    own = [process for process, account in participants.customers if account.loopback != "shared"]
    for address in ("127.0.0.1", "::1"):
        probes = _listen_on_one_port(own, address)
        for process, probe in probes.items():
            process.knock([probe])
        heard = {process: process.heard(probe, {process.uid}) for process, probe in probes.items()}
        for process in own:
            tried += 1
            if heard[process] != {process.uid}:
                broken.append(f"uid {process.uid} at {address} was heard by others, or heard {sorted(heard[process])}")
    yield NetworkCheck("localhost is one's own", tried, tuple(broken))
    pairs = list(permutations(own, 2))
    same = [f"uids {a.uid} and {b.uid} cannot both have a port" for a, b in pairs if a.port != b.port]
    yield NetworkCheck("two serve at the same port of localhost", len(pairs), tuple(same))


def _listen_on_one_port(processes: Iterable[ProbeProcess], address: str) -> dict[ProbeProcess, Probe]:
    """Each process listens on the same port. Another port is tried when one of them already listens on it."""
    probes: dict[ProbeProcess, Probe] = {}
    for _ in range(_PORTS):
        port = 0
        for process in processes:
            probes[process] = Probe(address, process.serve(address, "tcp", port), "tcp")
            port = port or process.port
        if all(probe.port for probe in probes.values()):
            break
    return probes
