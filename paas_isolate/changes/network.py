"""What was sold of the network: whose each address is, and who may connect to it; and the steps to that."""

from collections.abc import Collection, Iterator

from paas_isolate.model import tree
from paas_isolate.model.account import LOGIN, OTHER, Account, Fleet
from paas_isolate.model.network import DOMAIN, EgressAssignment, Gate, Grant, Network, Published, Rules, UidAddresses
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.network import AddAddress, RemoveAddress, SetGate, SetNames, SetRules


def desired_network(fleet: Fleet) -> Network:
    """Nothing where config.yaml has no `network:`."""
    if not fleet.host.network:
        return Network()
    accounts = fleet.accounts.values()
    addresses = {address: account.directory for account in accounts for address in account.addresses}
    owners = frozenset([Grant(uid, at) for it in accounts for at in it.addresses for uid in it.uids.values()])
    restrained = frozenset(
        [EgressAssignment(uid, it.egress) for it in accounts if it.egress for uid in it.uids.values()]
    )
    rules = Rules(owners, frozenset(_peers(fleet)), fleet.frontends, frozenset(_published(fleet)), restrained)
    homes = {uid: _home(it) for it in accounts if it.addresses for uid in it.uids.values()}
    names = tuple(_names(fleet)) if fleet.host.network.names else ()
    return Network(addresses, rules, True, Gate(homes, rules.peers, rules.frontends), has_gate=True, names=names)


def _names(fleet: Fleet) -> Iterator[str]:
    """As hosts(5) has them. IPv4 alone: a resolver would put an IPv6 address before it, where programs that serve both
    families by one socket do not answer."""
    for name, account in sorted(fleet.accounts.items()):
        if account.addresses:
            hosts = f"{name}.{DOMAIN}"
            some = (f"{service.name}.{hosts}" for service in account.services if service.name not in (LOGIN, OTHER))
            yield " ".join((account.addresses[0], hosts, *some))


def _home(account: Account) -> UidAddresses:
    v4, v6 = account.addresses
    return UidAddresses(v4, v6, account.loopback == "shared")


def _peers(fleet: Fleet) -> Iterator[Grant]:
    for account in fleet.accounts.values():
        for peer in account.peers:
            uids = fleet.accounts[peer].uids.values() if peer in fleet.accounts else fleet.left.get(peer, ())
            yield from (Grant(uid, at) for at in account.addresses for uid in uids)


def _published(fleet: Fleet) -> Iterator[Published]:
    for account in fleet.accounts.values():
        for it in account.services:
            if it.publish and not account.suspended:
                yield from (Published(it.publish, address, it.listen or it.publish) for address in account.addresses)


def drop_ports_in_use(wanted: Network, observed: Network) -> tuple[Network, dict[str, str]]:
    """What the machine serves itself is not led away; and why, by account."""
    if not observed.ports_in_use or wanted.rules is None:
        return wanted, {}
    refused = {published for published in wanted.rules.published if published.port in observed.ports_in_use}
    unmet = {}
    for published in sorted(refused):
        directory, port = wanted.addresses[published.address], published.port
        unmet[f"{tree.account(directory)} port {port}"] = (
            f"{directory} cannot publish port {port}: the machine itself listens there (ss -lntup sport = :{port})"
        )
    return wanted._replace(rules=wanted.rules._replace(published=wanted.rules.published - refused)), unmet


def preserved_addresses(wanted: Network, observed: Network, staying: Collection[str]) -> Network:
    """While an account stays that no spec names, whatever address no other has may be its own."""
    if not staying or not observed.addresses or wanted.rules is None:
        return wanted
    owners = frozenset(observed.rules.owners if observed.rules else ())
    left = frozenset([grant for grant in owners if grant[1] not in wanted.addresses])
    rules = _with_left(wanted.rules, observed.rules or Rules(), left)
    homes = {**_left(wanted, observed), **wanted.gate.homes} if wanted.gate else {}
    gate = wanted.gate._replace(homes=homes, peers=rules.peers) if wanted.gate else None
    theirs = {grant.address for grant in left}
    names = [line for line in observed.names or () if line.partition(" ")[0] in theirs]
    return wanted._replace(
        addresses={**observed.addresses, **wanted.addresses},
        rules=rules,
        gate=gate,
        names=tuple(sorted((*wanted.names, *names), key=_named)) if wanted.names and names else wanted.names,
    )


def _with_left(rules: Rules, observed: Rules, left: frozenset[Grant]) -> Rules:
    """What is let in and held back of those who have `left` stays as it is, as far as nobody else was sold it."""
    uids = {grant.uid for grant in left} - {grant.uid for grant in rules.owners}
    theirs, ports = {grant.address for grant in left}, {it.port for it in rules.published}
    return rules._replace(
        owners=rules.owners | left,
        peers=rules.peers | {peer for peer in observed.peers if peer.address in theirs},
        published=rules.published | {it for it in observed.published if it.address in theirs and it.port not in ports},
        egress=rules.egress | {it for it in observed.egress if it.uid in uids},
    )


def _named(line: str) -> str:
    return line.split()[1].removesuffix(f".{DOMAIN}")


def _left(wanted: Network, observed: Network) -> dict[int, UidAddresses]:
    """Homes whose addresses are nobody else's now."""
    homes = observed.gate.homes if observed.gate else {}
    return {uid: home for uid, home in homes.items() if home.v4 not in wanted.addresses}


def network_steps(desired: Network, observed: Network) -> Iterator[Step]:
    if (desired.rules, desired.has_ruleset) != (observed.rules, observed.has_ruleset):
        yield SetRules(desired.rules, observed.rules)
    if not observed.gate_unsupported and (desired.gate, desired.has_gate) != (observed.gate, observed.has_gate):
        yield SetGate(desired.gate, observed.gate)
    for address, directory in desired.addresses.items():
        if address not in observed.addresses:
            yield AddAddress(address, directory)
    for address in observed.addresses:
        if address not in desired.addresses:
            yield RemoveAddress(address)
    if desired.names != observed.names:
        yield SetNames(desired.names or (), observed.names or ())
