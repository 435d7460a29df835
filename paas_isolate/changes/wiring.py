"""What was sold of the network: whose each address is, and who may connect to it; and the steps to that."""

from collections.abc import Collection, Iterator

from paas_isolate.changes.steps import AddAddress, RemoveAddress, SetRules, Step
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import Grant, Network, Rules


def network_as_sold(fleet: Fleet) -> Network:
    """Nothing where config.yaml has no `network:`."""
    if not fleet.host.network:
        return Network()
    accounts = fleet.accounts.values()
    addresses = {address: it.directory for it in accounts for address in it.addresses}
    owners = frozenset([Grant(uid, at) for it in accounts for at in it.addresses for uid in it.uids.values()])
    return Network(addresses, Rules(owners, frozenset(_peers(fleet)), fleet.frontends), ruleset=True)


def _peers(fleet: Fleet) -> Iterator[Grant]:
    for sold in fleet.accounts.values():
        for peer in sold.peers:
            if peer in fleet.accounts:
                yield from (Grant(uid, at) for at in sold.addresses for uid in fleet.accounts[peer].uids.values())


def staying_addresses(sold: Network, observed: Network, staying: Collection[str]) -> Network:
    """While an account stays that no spec names, whatever address no other has may be its own."""
    if not staying or not observed.addresses or sold.rules is None:
        return sold
    owners = frozenset(observed.rules.owners if observed.rules else ())
    left = frozenset([grant for grant in owners if grant[1] not in sold.addresses])
    rules = sold.rules._replace(owners=sold.rules.owners | left)
    return Network({**observed.addresses, **sold.addresses}, rules, ruleset=True)


def network_steps(desired: Network, observed: Network) -> Iterator[Step]:
    if desired[1:] != observed[1:]:
        yield SetRules(desired.rules, observed.rules)
    for address, directory in desired.addresses.items():
        if address not in observed.addresses:
            yield AddAddress(address, directory)
    for address in observed.addresses:
        if address not in desired.addresses:
            yield RemoveAddress(address)
