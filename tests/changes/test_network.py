"""Which addresses there should be, and the steps to them."""

import pytest

from paas_isolate.changes.diff import diff
from paas_isolate.changes.network import desired_network, preserved_addresses, staying_uids
from paas_isolate.model.account import Host, NetworkConfig, Service
from paas_isolate.model.network import (
    SOURCE6,
    Gate,
    Grant,
    Network,
    Published,
    Rules,
    UidAddresses,
)
from paas_isolate.model.steps.network import SetGate, SetRules
from paas_isolate.model.world import DesiredWorld, ObservedWorld, Process
from tests.support.fleets import fleet, sold

POOLS = {"10.77.0.0/16": True, "fd77:7061:6173::/64": True}


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        (POOLS, []),
        (
            {"10.78.0.0/16": True, "10.77.0.9": True},
            [
                "remove the address 10.77.0.9",
                "remove the pool 10.78.0.0/16",
                "make the pool 10.77.0.0/16 local",
                "make the pool fd77:7061:6173::/64 local",
            ],
        ),
        (
            {"10.77.0.0/16": True, SOURCE6: True},  # somebody removed the route
            ["make the pool fd77:7061:6173::/64 local"],
        ),
        ({**POOLS, "fd77:7061:6173::/64": False}, ["make the pool fd77:7061:6173::/64 local"]),
    ],
)
def test_the_pools_are_made_local_and_nothing_else_is(found: dict[str, bool], sentences: list[str]) -> None:
    desired, observed = DesiredWorld(network=Network(local=POOLS)), ObservedWorld(network=Network(local=found))
    assert [str(step) for step in diff(desired, observed)] == sentences


def test_without_a_network_its_source_goes_too() -> None:
    observed = ObservedWorld(network=Network(local={SOURCE6: True}))
    assert [str(step) for step in diff(DesiredWorld(), observed)] == [f"remove the address {SOURCE6}"]


def test_an_account_that_comes_changes_no_address() -> None:
    desired = DesiredWorld(network=Network(addresses={"10.77.0.2": "alice"}))
    assert not diff(desired, ObservedWorld())


def test_addresses_are_those_that_were_sold() -> None:
    accounts = fleet(sold("alice", addresses=("10.77.0.2", "fd77::2")), sold("bob"), host=Host(network=NetworkConfig()))
    assert desired_network(accounts).addresses == {"10.77.0.2": "alice", "fd77::2": "alice"}
    assert desired_network(accounts).local == POOLS
    assert desired_network(fleet(sold("alice"))).local == {}


def test_while_an_account_waits_for_its_end_its_address_stays() -> None:
    alices, gone, old = Grant(1001, "10.77.0.2"), Grant(1009, "10.77.0.9"), Grant(1008, "10.77.0.2")
    sold = Network({"10.77.0.2": "alice"}, Rules(frozenset({alices})), has_ruleset=True, local=POOLS)
    observed = Network({}, Rules(frozenset({gone, old})), has_ruleset=True, local={"10.78.0.0/16": True})
    found = preserved_addresses(sold, observed, {"gone": {1009}})
    assert found.local == {**POOLS, "10.78.0.0/16": True}
    assert found.rules == Rules(frozenset({alices, gone}))  # an address that is another's now is not the old one's too
    assert preserved_addresses(sold, observed, {}) is sold


GONE = {1008: UidAddresses("10.77.0.8", "fd77::8"), 1009: UidAddresses("10.77.0.9", "fd77::9")}


@pytest.mark.parametrize(
    ("staying", "kept"),
    [
        ({"gone": {1009}}, {1009}),
        ({"gone": {1009, 1010}}, {1009}),
        ({"gone": {1009}, "unseen": ()}, {1008, 1009}),  # the address of 1008 may be the unseen account's
        ({"gone": {1009}, "unknown": {1010}}, {1008, 1009}),
        ({"both": {1008}, "gone": {1009}}, {1008, 1009}),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_address_stays_only_for_an_account_that_does(
    staying: dict[str, set[int]], kept: set[int], *, whole: bool
) -> None:
    """Without a whole ruleset the gate tells whose an address is."""
    owners = frozenset(Grant(uid, address) for uid, home in GONE.items() for address in home[:2])
    rules = Rules(owners, published=frozenset({Published(8300, "10.77.0.8", 80)})) if whole else None
    observed = Network(
        {},
        rules,
        has_ruleset=True,
        gate=Gate(GONE),
        has_gate=True,
        names=("10.77.0.8 eight.paas.internal", "10.77.0.9 nine.paas.internal"),
        local={grant.address: True for grant in owners},
    )
    wanted = Network({}, Rules(), True, Gate(), has_gate=True, names=("10.77.0.2 alice.paas.internal",))
    found = preserved_addresses(wanted, observed, staying)
    assert found.local.keys() == {grant.address for grant in owners if grant.uid in kept}
    assert found.gate and found.gate.homes.keys() == kept
    if whole:
        assert found.rules and found.rules.owners == {grant for grant in owners if grant.uid in kept}
        assert bool(found.rules.published) == (1008 in kept)
        assert len(found.names or ()) == 1 + len(kept)


def test_the_uids_of_an_account_without_a_file_are_those_of_its_processes_and_doors() -> None:
    accounts = fleet(sold("alice", uid=1001))._replace(left={"left": (1005,)})
    observed = ObservedWorld(
        processes=(
            Process(7, 1009, "users/gone/login"),
            Process(8, 1001, "users/gone/login"),  # that is alice's now
            Process(9, 1001, "users/alice/login"),
        ),
        doors={"1010.cron": "users/gone/other", "1001": "users/alice/login"},
    )
    found = staying_uids(accounts, observed, {"alice", "gone", "idle", "left"})
    assert found == {"gone": {1009, 1010}, "idle": set(), "left": {1005}}


def test_peers_are_the_users_of_other_accounts_and_front_ends_reach_all() -> None:
    accounts = fleet(
        sold("alice", uid=1001, addresses=("10.77.0.2", "fd77::2"), peers=("bob", "nobody")),
        sold("bob", uid=1002, addresses=("10.77.0.3", "fd77::3")),
        host=Host(network=NetworkConfig()),
        frontends=frozenset({33}),
    )
    rules = desired_network(accounts).rules
    assert rules is not None
    assert rules.peers == {(1002, "10.77.0.2"), (1002, "fd77::2")}
    assert rules.owners == {(1001, "10.77.0.2"), (1001, "fd77::2"), (1002, "10.77.0.3"), (1002, "fd77::3")}
    assert rules.frontends == {33}


ONE = Rules(frozenset({Grant(1001, "10.77.0.2")}))


@pytest.mark.parametrize(
    ("wanted", "found", "sentence"),
    [
        (ONE, Network(), "make the ruleset of the network, for 1 addresses and uids"),
        (ONE, Network(has_ruleset=True), "make the ruleset of the network, for 1 addresses and uids"),
        (ONE, Network(rules=Rules(), has_ruleset=True), "change the ruleset of the network: add '1001 at 10.77.0.2'"),
        (None, Network(rules=ONE, has_ruleset=True), "remove the ruleset of the network"),
        (None, Network(has_ruleset=True), "remove the ruleset of the network"),
    ],
)
def test_a_ruleset_is_made_changed_and_removed(wanted: Rules | None, found: Network, sentence: str) -> None:
    desired = DesiredWorld(network=Network(rules=wanted, has_ruleset=wanted is not None))
    assert [str(step) for step in diff(desired, ObservedWorld(network=found))] == [sentence]


def test_a_change_names_what_comes_and_what_goes() -> None:
    other = Rules(peers=frozenset({Grant(1002, "10.77.0.2")}), frontends=frozenset({33}))
    (step,) = diff(
        DesiredWorld(network=Network(rules=other, has_ruleset=True)),
        ObservedWorld(network=Network(rules=ONE, has_ruleset=True)),
    )
    told = "change the ruleset of the network: add '1002 to 10.77.0.2', '33 to all', remove '1001 at 10.77.0.2'"
    assert str(step) == told


def test_homes_are_by_uid_and_say_whose_loopback_it_is() -> None:
    accounts = fleet(
        sold("alice", uid=1001, addresses=("10.77.0.2", "fd77::2"), loopback="shared"),
        sold("bob", uid=1002, addresses=("10.77.0.3", "fd77::3"), peers=("alice",)),
        host=Host(network=NetworkConfig()),
        frontends=frozenset({33}),
    )
    gate = desired_network(accounts).gate
    assert gate is not None
    assert gate.homes == {1001: UidAddresses("10.77.0.2", "fd77::2", True), 1002: UidAddresses("10.77.0.3", "fd77::3")}
    assert gate.peers == {(1001, "10.77.0.3"), (1001, "fd77::3")}
    assert gate.frontends == {33}


GATE = Gate({1001: UidAddresses("10.77.0.2", "fd77::2")})


@pytest.mark.parametrize(
    ("wanted", "found", "sentences"),
    [
        (Network(gate=GATE, has_gate=True), Network(), ["lay the gate, for 1 uids"]),
        (Network(gate=GATE, has_gate=True), Network(has_gate=True), ["lay the gate, for 1 uids"]),
        (Network(gate=GATE, has_gate=True), Network(gate_unsupported="too old"), []),
        (Network(gate=GATE, has_gate=True), Network(gate=GATE, has_gate=True), []),
        (Network(), Network(has_gate=True), ["remove the gate"]),
        (
            Network(gate=GATE._replace(frontends=frozenset({33})), has_gate=True),
            Network(gate=Gate({1002: UidAddresses("10.77.0.3", "fd77::3", True)}), has_gate=True),
            ["change the gate: add '1001 at 10.77.0.2', '33 to all', remove '1002 at 10.77.0.3 with shared loopback'"],
        ),
    ],
)
def test_steps_at_the_gate(wanted: Network, found: Network, sentences: list[str]) -> None:
    assert [str(step) for step in diff(DesiredWorld(network=wanted), ObservedWorld(network=found))] == sentences


def test_while_an_account_waits_for_its_end_it_keeps_its_home() -> None:
    old = Gate({1009: UidAddresses("10.77.0.9", "fd77::9"), 1008: UidAddresses("10.77.0.2", "fd77::2")})
    sold = Network({"10.77.0.2": "alice"}, Rules(), True, GATE, has_gate=True)
    found = preserved_addresses(sold, Network({"10.77.0.9": "paas0"}, Rules(), True, old, has_gate=True), {"gone": ()})
    assert found.gate == Gate({1009: UidAddresses("10.77.0.9", "fd77::9"), **GATE.homes})


def test_names_are_of_ipv4_and_only_where_they_are_wanted() -> None:
    services = (Service("web"), Service("other"), Service("login"))
    some = (
        sold("bob", addresses=("10.77.0.3", "fd77::3")),
        sold("alice", addresses=("10.77.0.2", ""), services=services),
    )
    named = fleet(*some, host=Host(network=NetworkConfig(names=True)))
    lines = ("10.77.0.2 alice.paas.internal web.alice.paas.internal", "10.77.0.3 bob.paas.internal")
    assert desired_network(named).names == lines
    assert desired_network(fleet(*some, host=Host(network=NetworkConfig()))).names == ()


@pytest.mark.parametrize(
    ("wanted", "found", "sentence"),
    [
        (("10.77.0.2 a",), (), "change the names in /etc/hosts: add '10.77.0.2 a'"),
        (("10.77.0.2 a",), None, "change the names in /etc/hosts: add '10.77.0.2 a'"),
        (("1 a", "2 b"), ("2 b", "1 a"), "change the names in /etc/hosts: put them in order"),
        ((), ("1 a",), "take the names of accounts out of /etc/hosts"),
        ((), (), ""),
    ],
)
def test_names_are_changed_when_they_differ(
    wanted: tuple[str, ...], found: tuple[str, ...] | None, sentence: str
) -> None:
    steps = diff(DesiredWorld(network=Network(names=wanted)), ObservedWorld(network=Network(names=found)))
    assert "".join(map(str, steps)) == sentence


def test_what_comes_from_outside_is_refused_at_each_moment_of_a_change() -> None:
    """Without translation by the gate, with it by the ruleset."""
    without = Network({}, Rules(), True, Gate(), has_gate=True)
    translates = without._replace(rules=Rules(translates=True), gate=Gate(translates=True))
    for desired, observed, order in (
        (translates, without, [SetRules, SetGate]),
        (without, translates, [SetGate, SetRules]),
    ):
        steps = diff(DesiredWorld(network=desired), ObservedWorld(network=observed))
        assert [type(step) for step in steps] == order
