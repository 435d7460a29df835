"""What was sold of the network: whose each address is, and who may connect to it; and the steps to that."""

from collections.abc import Collection, Iterator

from paas_isolate.changes.steps import AddAddress, RemoveAddress, Step
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import Network


def network_as_sold(fleet: Fleet) -> Network:
    """Nothing where config.yaml has no `network:`."""
    return Network(addresses={address: it.directory for it in fleet.accounts.values() for address in it.addresses})


def staying_addresses(sold: Network, observed: Network, staying: Collection[str]) -> Network:
    """While an account stays that no spec names, whatever address no other has may be its own."""
    if not staying or not observed.addresses:
        return sold
    return sold._replace(addresses={**observed.addresses, **sold.addresses})


def network_steps(desired: Network, observed: Network) -> Iterator[Step]:
    for address, directory in desired.addresses.items():
        if address not in observed.addresses:
            yield AddAddress(address, directory)
    for address in observed.addresses:
        if address not in desired.addresses:
            yield RemoveAddress(address)
