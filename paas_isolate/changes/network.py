"""The desired network: addresses, rules, gate and names; and the steps to it."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from paas_isolate.changes.doors import uid_of
from paas_isolate.changes.subordinates import subordinates_left, with_ranges_left, with_subordinates
from paas_isolate.model import tree
from paas_isolate.model.account import LOGIN, OTHER, Account, Fleet
from paas_isolate.model.network import (
    DOMAIN,
    SOURCE6,
    Address,
    EgressAssignment,
    Gate,
    Grant,
    Network,
    Published,
    Rules,
    UidAddresses,
)
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.network import AddPool, RemoveAddress, SetGate, SetNames, SetRules
from paas_isolate.model.world import ObservedWorld


def desired_network(fleet: Fleet) -> Network:
    """The desired fields of Network; all empty where config.yaml has no `network:`."""
    if not fleet.host.network:
        return Network()
    accounts = fleet.accounts.values()
    addresses = {address: account.directory for account in accounts for address in account.addresses}
    owners = frozenset(
        [Grant(uid, address) for each in accounts for address in each.addresses for uid in each.uids.values()]
    )
    egress = frozenset(
        [EgressAssignment(uid, each.egress) for each in accounts if each.egress for uid in each.uids.values()]
    )
    published = frozenset(_published(fleet))
    peers, translates = frozenset(_peers(fleet)), bool(published)
    rules = Rules(owners, peers, fleet.frontends, published, egress, translates=translates)
    homes = {uid: _home(each) for each in accounts if each.addresses for uid in each.uids.values()}
    names = tuple(_names(fleet)) if fleet.host.network.names else ()
    gate = Gate(homes, rules.peers, rules.frontends, translates=translates)
    local = dict.fromkeys((fleet.host.network.pool, fleet.host.network.pool6), True)
    return Network(addresses, rules, True, gate, has_gate=True, names=names, local=local)


def _names(fleet: Fleet) -> Iterator[str]:
    """Lines of hosts(5), with IPv4 addresses only: resolvers prefer IPv6, and a program that listens on one socket for
    both families does not answer at the account's IPv6 address."""
    for name, account in sorted(fleet.accounts.items()):
        if account.addresses:
            host = f"{name}.{DOMAIN}"
            services = (service.name for service in account.services if service.name not in (LOGIN, OTHER))
            yield " ".join((account.addresses[0], host, *(f"{service}.{host}" for service in services)))


def _home(account: Account) -> UidAddresses:
    v4, v6 = account.addresses
    return UidAddresses(v4, v6, account.loopback == "shared")


def _peers(fleet: Fleet) -> Iterator[Grant]:
    for account in fleet.accounts.values():
        for peer in account.peers:
            uids = fleet.accounts[peer].uids.values() if peer in fleet.accounts else fleet.left.get(peer, ())
            yield from (Grant(uid, address) for address in account.addresses for uid in uids)


def _published(fleet: Fleet) -> Iterator[Published]:
    for account in fleet.accounts.values():
        for service in account.services:
            port = service.publish
            if port and not account.suspended:
                yield from (Published(port, address, service.listen or port) for address in account.addresses)


def network_now(
    desired: Network, observed: Network, fleet: Fleet, staying: Mapping[str, Collection[int]] = MappingProxyType({})
) -> tuple[Network, dict[str, str]]:
    """The desired network of the fleet with all that follows from what is observed, and the texts of
    `drop_ports_in_use`. `staying` is as for `preserved_addresses`. Where it is empty, the rules follow from the fields
    of `observed` that NetworkPort.rule_inputs sets. Without a gate, nobody would report that something leaves the
    machine."""
    wanted, refused = drop_ports_in_use(desired, observed)
    wanted = preserved_addresses(with_subordinates(wanted, observed, fleet), observed, staying)
    if wanted.rules is None or wanted.gate is None:
        return wanted, refused
    if wanted.rules.published or observed.leaves or observed.gate_unsupported:
        rules, gate = wanted.rules._replace(translates=True), wanted.gate._replace(translates=True)
        return wanted._replace(rules=rules, gate=gate), refused
    return wanted, refused


def drop_ports_in_use(wanted: Network, observed: Network) -> tuple[Network, dict[str, str]]:
    """The desired network without the published ports on which the machine itself listens; and a text for each of
    these, by `users/ACCOUNT port PORT`."""
    if not observed.ports_in_use or wanted.rules is None:
        return wanted, {}
    refused = {published for published in wanted.rules.published if published.port in observed.ports_in_use}
    unmet = {}
    for published in sorted(refused):
        directory, port = wanted.addresses.get(published.address, published.address), published.port
        unmet[f"{tree.account(directory)} port {port}"] = (
            f"{directory} cannot publish port {port}: the machine itself listens there (ss -lntup sport = :{port})"
        )
    return wanted._replace(rules=wanted.rules._replace(published=wanted.rules.published - refused)), unmet


def staying_uids(fleet: Fleet, observed: ObservedWorld, staying: Collection[str]) -> dict[str, set[int]]:
    """By directory, the uids of the accounts in `staying` that no specification names, as far as doors and processes
    show them; none where nothing does. A uid that another account has now is not theirs."""
    accounts = fleet.accounts
    desired = {account.directory for account in accounts.values()} | accounts.keys()
    uids = {directory: set(fleet.left.get(directory, ())) for directory in staying if directory not in desired}
    if not uids:
        return {}
    for process in observed.processes:
        if (directory := tree.directory_of(process.cgroup)) in uids:
            uids[directory].add(process.uid)
    for door, target in observed.doors.items():
        if (directory := tree.account_of_door(target)) in uids and (uid := uid_of(door)) >= 0:
            uids[directory].add(uid)
    others = {uid for account in accounts.values() for uid in account.uids.values()}
    return {directory: found - others for directory, found in uids.items()}


def preserved_addresses(wanted: Network, observed: Network, staying: Mapping[str, Collection[int]]) -> Network:
    """The desired network with what the accounts in `staying`, which have no specification, have now. `staying` has the
    uids of each, as `staying_uids` finds them. While the addresses of one are not known by a uid, every observed
    address that no desired account has may be theirs, so all of these stay."""
    if not staying or wanted.rules is None:
        return wanted
    kept = _addresses_of(staying, observed)
    owners = observed.rules.owners if observed.rules else frozenset[Grant]()
    left = frozenset([Grant(uid, at) for uid, at in owners if at not in wanted.addresses and at in kept])
    rules = with_ranges_left(_with_left(wanted.rules, observed.rules or Rules(), left), observed, staying)
    homes = {**_left(wanted, observed, kept), **wanted.gate.homes} if wanted.gate else {}
    gate = (
        wanted.gate._replace(
            homes=homes,
            peers=rules.peers,
            subordinates={**subordinates_left(observed, staying), **wanted.gate.subordinates},
        )
        if wanted.gate
        else None
    )
    left_addresses = {grant.address for grant in left}
    names = [line for line in observed.names or () if line.partition(" ")[0] in left_addresses]
    return wanted._replace(
        local={
            **{network: whole for network, whole in observed.local.items() if "/" in network or network in kept},
            **wanted.local,
        },
        rules=rules,
        gate=gate,
        names=tuple(sorted((*wanted.names, *names), key=_account_name)) if wanted.names and names else wanted.names,
    )


def _addresses_of(staying: Mapping[str, Collection[int]], observed: Network) -> Collection[Address]:
    """The observed addresses of these accounts; all that are observed where those of one account are not known."""
    grants = {*(observed.rules.owners if observed.rules else ()), *_grants(observed.gate)}
    by_uid: dict[int, set[Address]] = {}
    for uid, address in grants:
        by_uid.setdefault(uid, set()).add(address)
    found = [{address for uid in uids for address in by_uid.get(uid, ())} for uids in staying.values()]
    every = {*(network for network in observed.local if "/" not in network), *(address for _, address in grants)}
    return set[Address]().union(*found) if all(found) else every


def _grants(gate: Gate | None) -> Iterator[Grant]:
    for uid, home in gate.homes.items() if gate else ():
        yield from (Grant(uid, home.v4), Grant(uid, home.v6))


def _with_left(rules: Rules, observed: Rules, left: frozenset[Grant]) -> Rules:
    """The rules with the observed ones of the grants in `left`: their peers, published ports and egress, except for
    ports and uids that a desired account has now."""
    uids = {grant.uid for grant in left} - {grant.uid for grant in rules.owners}
    addresses, ports = {grant.address for grant in left}, {entry.port for entry in rules.published}
    published = {entry for entry in observed.published if entry.address in addresses and entry.port not in ports}
    return rules._replace(
        owners=rules.owners | left,
        peers=rules.peers | {Grant(uid, address) for uid, address in observed.peers if address in addresses},
        published=rules.published | published,
        egress=rules.egress | {assignment for assignment in observed.egress if assignment.uid in uids},
    )


def _account_name(line: str) -> str:
    return line.split()[1].removesuffix(f".{DOMAIN}")


def _left(wanted: Network, observed: Network, kept: Collection[Address]) -> dict[int, UidAddresses]:
    """The observed homes whose addresses are kept, and no desired account's."""
    homes = observed.gate.homes if observed.gate else {}
    return {uid: home for uid, home in homes.items() if home.v4 not in wanted.addresses and home.v4 in kept}


def network_steps(desired: Network, observed: Network) -> Iterator[Step]:
    steps: list[Step] = []
    if (desired.rules, desired.has_ruleset) != (observed.rules, observed.has_ruleset):
        steps.append(SetRules(desired.rules, observed.rules))
    if not observed.gate_unsupported and (desired.gate, desired.has_gate) != (observed.gate, observed.has_gate):
        steps.append(SetGate(desired.gate, observed.gate))
    # Either the ruleset or the gate refuses what comes from outside, at each moment.
    closes = observed.gate and observed.gate.translates and desired.gate and not desired.gate.translates
    yield from reversed(steps) if closes else steps
    for pool in desired.local:
        if not observed.local.get(pool):
            yield AddPool(pool)
    for address in observed.local:
        if address not in desired.local and not (desired.local and address == SOURCE6):  # it is the IPv6 pool's
            yield RemoveAddress(address)
    if desired.names != observed.names:
        yield SetNames(desired.names or (), observed.names or ())
