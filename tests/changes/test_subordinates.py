"""Subordinate uids in the desired network."""

from paas_isolate.changes.diff import diff
from paas_isolate.changes.network import desired_network, preserved_addresses
from paas_isolate.changes.subordinates import is_subordinate, with_subordinates
from paas_isolate.model.account import Host, NetworkConfig
from paas_isolate.model.network import Gate, Network, RangeEgress, Rules, Subordinates, UidRange
from paas_isolate.model.world import DesiredWorld, ObservedWorld
from tests.support.fleets import fleet, sold

RANGES = {
    "alice": (UidRange(100_000, 165_535),),
    "1002": (UidRange(165_000, 231_071), UidRange(400_000, 400_009)),
    "root": (UidRange(1, 9),),
}


def test_subordinate_uids_are_those_of_their_account() -> None:
    """Ranges that overlap are made disjoint, and neighbours one; those of no account, and low ones, are left out."""
    accounts = fleet(
        sold("alice", uid=1001, addresses=("10.77.0.2", "fd77::2"), egress=("deny smtp",)),
        sold("bob", uid=1002, addresses=("10.77.0.3", "fd77::3")),
        host=Host(network=NetworkConfig()),
    )
    observed = Network(subordinates=RANGES, account_cgroups=frozenset({"bob", "alice", "gone"}))
    found = with_subordinates(desired_network(accounts), observed, accounts)
    assert found.gate and found.gate.subordinates == {
        "alice": Subordinates(1001, (UidRange(100_000, 165_535),)),
        "bob": Subordinates(1002, (UidRange(165_000, 231_071), UidRange(400_000, 400_009))),
    }
    assert found.rules and found.rules.subordinates == {UidRange(100_000, 231_071), UidRange(400_000, 400_009)}
    assert found.rules.range_egress == {(100_000, 165_535, ("deny smtp",))}
    assert found.rules.owners == desired_network(accounts).rules.owners  # type: ignore[union-attr]
    early = with_subordinates(desired_network(accounts), observed._replace(account_cgroups=frozenset()), accounts)
    assert early.gate and not early.gate.subordinates
    unsupported = observed._replace(gate_unsupported="too old")
    assert with_subordinates(desired_network(accounts), unsupported, accounts) == desired_network(accounts)


def test_subordinate_uids_are_denied_what_their_account_has_a_limit_of() -> None:
    limited = sold("alice", uid=1001, addresses=("10.77.0.2", "fd77::2"), egress=("deny dns", "limit smtp 5/h"))
    accounts = fleet(limited, host=Host(network=NetworkConfig()))
    found = with_subordinates(desired_network(accounts), Network(subordinates=RANGES), accounts)
    denied = ("deny port 25", "deny port 465", "deny port 587", "deny dns")
    assert found.rules and found.rules.range_egress == {(100_000, 165_535, denied)}
    assert found.rules.egress == {(1001, ("deny dns", "limit smtp 5/h"))}


def test_steps_name_subordinate_uids() -> None:
    ranges = Rules(subordinates=frozenset({UidRange(100_000, 165_535)}))
    gate = Gate(subordinates={"alice": Subordinates(1001, (UidRange(100_000, 165_535),))})
    desired = DesiredWorld(network=Network({}, ranges, True, gate, has_gate=True))
    observed = ObservedWorld(network=Network({}, Rules(), True, Gate(), has_gate=True))
    assert [str(step) for step in diff(desired, observed)] == [
        "change the ruleset of the network: add 'subordinate uids 100000-165535'",
        "change the gate: add '100000-165535 as 1001 in alice'",
    ]


def test_subordinate_uids_stay_while_their_account_does() -> None:
    own = {"gone": Subordinates(1009, (UidRange(100_000, 100_009), UidRange(200_000, 200_009)))}
    rules = Rules(
        subordinates=frozenset({UidRange(100_000, 100_009), UidRange(200_000, 200_009), UidRange(300_000, 300_009)}),
        range_egress=frozenset({RangeEgress(200_000, 200_009, ("deny all",)), RangeEgress(300_000, 300_009, ())}),
    )
    observed = Network({}, rules, True, Gate(subordinates=own), has_gate=True)
    wanted = Network({}, Rules(subordinates=frozenset({UidRange(100_005, 100_020)})), True, Gate(), has_gate=True)
    found = preserved_addresses(wanted, observed, {"gone": {1009}})
    assert found.gate and found.gate.subordinates == own
    assert found.rules and found.rules.subordinates == {UidRange(100_000, 100_020), UidRange(200_000, 200_009)}
    assert found.rules.range_egress == {(200_000, 200_009, ("deny all",))}


def test_which_uids_are_subordinate_ones() -> None:
    accounts = fleet(sold("alice", uid=1001, addresses=("10.77.0.2", "fd77::2")), host=Host(network=NetworkConfig()))
    asked = (0, 5, 1001, 100_000, 165_535, 165_536)
    assert [is_subordinate(uid, accounts, RANGES) for uid in asked] == [False, False, False, True, True, False]
