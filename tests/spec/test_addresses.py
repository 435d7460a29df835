"""Which addresses an account has, and the complaints when it cannot have them."""

import pytest

from paas_isolate.model.account import Fleet, Host, NetworkConfig
from paas_isolate.spec.addresses import AddressAllocator
from tests.support.crowd import Crowd, fleet

CONFIG, A, B = "config.yaml", "accounts.d/alice.yaml", "accounts.d/bob.yaml"
ON = "network: {}\n"


def said(found: Fleet) -> list[str]:
    return [str(complaint) for complaint in found.complaints]


def test_an_address_is_the_uid_of_the_owner_in_the_pool() -> None:
    found = fleet({CONFIG: ON, A: "users: [bob, alice]\nowner: bob"})
    assert found.accounts["alice"].addresses == ("10.77.0.3", "fd77:7061:6173::3")
    assert not found.complaints


def test_without_network_there_are_none() -> None:
    found = fleet({A: "address: 10.77.0.9\npeers: [bob]\nloopback: shared", B: ""})
    assert not found.accounts["alice"].addresses
    assert found.not_enforced() == {"alice": ["loopback", "peers"]}


def test_what_the_account_says_wins_for_its_family() -> None:
    found = fleet({CONFIG: ON, A: "address: 10.77.9.9", B: "address: ['fd77:7061:6173::B:1', 10.77.9.10]"})
    assert found.accounts["alice"].addresses == ("10.77.9.9", "fd77:7061:6173::2")
    assert found.accounts["bob"].addresses == ("10.77.9.10", "fd77:7061:6173::b:1")


def test_two_accounts_never_have_one_address() -> None:
    found = fleet({CONFIG: ON, A: "", B: "address: 10.77.0.2"})
    assert not found.accounts
    assert said(found) == [
        f"{B}:2:10: address has the address 10.77.0.2, which belongs to {A}; give one of them another `address:`",
        f"{A}: owner has the address 10.77.0.2, which belongs to {B}; give one of them another `address:`",
    ]


@pytest.mark.parametrize("address", ["10.78.0.1", "10.77.0.0", "10.77.255.255", "fd78::1", "10.76.255.255"])
def test_an_address_outside_the_pool_is_refused(address: str) -> None:
    found = fleet({CONFIG: ON, A: f"address: {address}", B: ""})
    assert list(found.accounts) == ["bob"]
    assert f"{A}:2:10: address is {address}; expected an address of " in said(found)[0]


@pytest.mark.parametrize("given", ["[]", "[10.77.0.1, 10.77.0.2]", "{a: b}", "nowhere", "010.77.0.1", "[x, y]"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Exception, match="expected an address"):
        fleet({CONFIG: ON, A: f"address: {given}"})


def test_a_uid_beyond_the_pool_is_refused_with_what_to_do() -> None:
    found = fleet({CONFIG: "network: {pool: 10.1.0.0/30}", A: "", B: ""})
    assert list(found.accounts) == ["alice"]
    text = "has the uid 1002, and 10.1.0.0/30 has no address 3; widen the pool in config.yaml, or write an `address:`"
    assert text in said(found)[0]


def test_a_peer_that_is_not_there_is_told() -> None:
    found = fleet({CONFIG: ON, A: "peers: [bob, bop]", B: ""})
    assert found.accounts["alice"].peers == ("bob", "bop")
    assert said(found) == [f"{A}: warning: peers[1] is 'bop', and there is no such account"]


def test_loopback_comes_from_the_plan_and_the_account_wins() -> None:
    shared = {CONFIG: ON, "plans.d/p.yaml": "loopback: shared", A: "plan: p", B: "plan: p\nloopback: own"}
    found = fleet(shared)
    assert [found.accounts[name].loopback for name in ("alice", "bob")] == ["shared", ""]


def test_front_ends_are_users_of_the_machine() -> None:
    assert fleet({CONFIG: ON}).frontends == {33}
    found = fleet({CONFIG: "network: {frontends: [nginx, bob]}"})
    assert found.frontends == {1002}
    assert said(found) == ["config.yaml: warning: network.frontends names nginx, who is no user of this machine"]


def test_a_machine_without_the_default_front_end_is_fine() -> None:
    assert not fleet({CONFIG: ON}, Crowd({"root": 0})).complaints


def test_the_last_user_of_a_full_pool_has_its_last_address() -> None:
    numbers = AddressAllocator(Host(first_uid=1000), NetworkConfig("10.0.0.0/29", "fd00::/64"))
    assert numbers.addresses((), 1005) == ("10.0.0.6", "fd00::6")
    with pytest.raises(ValueError, match="has no address 7"):
        numbers.addresses((), 1006)


WEB = "services: {web: {match: {program: web}, listen: 8080, publish: 8300}}"


def test_a_port_of_the_machine_is_published_once() -> None:
    found = fleet({CONFIG: ON, A: WEB, B: WEB})
    assert len(said(found)) == 2
    assert f"services.web.publish is 8300, which belongs to {A}" in said(found)[0]
    assert not fleet({CONFIG: ON, A: WEB, B: WEB.replace("8300", "8301")}).complaints


def test_what_is_published_needs_a_network_and_a_port_that_is_published() -> None:
    assert fleet({A: WEB}).not_enforced() == {"alice": ["web.publish"]}
    assert fleet({CONFIG: ON, A: WEB}).not_enforced() == {}
    assert fleet({CONFIG: ON, A: WEB.replace(", publish: 8300", "")}).not_enforced() == {"alice": ["web.listen"]}
