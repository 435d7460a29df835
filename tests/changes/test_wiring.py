"""Addresses that should be there, and the steps to them."""

from fleets import fleet, sold

from paas_isolate.changes.diff import diff
from paas_isolate.changes.wiring import network_as_sold, staying_addresses
from paas_isolate.model.network import Network
from paas_isolate.model.world import World


def test_an_address_comes_and_one_that_is_nobodys_goes_first() -> None:
    desired = World(network=Network(addresses={"10.77.0.2": "alice", "fd77::2": "alice"}))
    observed = World(network=Network(addresses={"10.77.0.9": "paas0", "fd77::2": "lo"}))
    said = [str(step) for step in diff(desired, observed)]
    assert said == ["remove the address 10.77.0.9", "add the address 10.77.0.2 of alice"]


def test_what_is_right_is_not_touched() -> None:
    network = Network(addresses={"10.77.0.2": "alice"})
    assert not diff(World(network=network), World(network=network))


def test_addresses_are_those_that_were_sold() -> None:
    accounts = fleet(sold("alice", addresses=("10.77.0.2", "fd77::2")), sold("bob"))
    assert network_as_sold(accounts).addresses == {"10.77.0.2": "alice", "fd77::2": "alice"}


def test_while_an_account_waits_for_its_end_no_unknown_address_goes() -> None:
    sold, observed = Network(addresses={"10.77.0.2": "alice"}), Network(addresses={"10.77.0.9": "paas0"})
    assert staying_addresses(sold, observed, {"gone"}).addresses.keys() == {"10.77.0.2", "10.77.0.9"}
    assert staying_addresses(sold, observed, ()) is sold
