"""Our netlink code beside pyroute2's, in a network namespace of the test's own: both read the same."""

import ctypes
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from pyroute2.nftables.main import NFTables

from paas_isolate.linux.network import nfnetlink
from paas_isolate.linux.network.links import NONLOCAL_BIND, PROTOCOL, Links
from paas_isolate.linux.process.child import run_forked
from paas_isolate.model.network import SOURCE6

pytestmark = pytest.mark.kernel
NEWNET = 0x40000000
POOLS = ["10.77.0.0/16", "fd77:7061:6173::/64"]
SOME = ["10.77.0.1", "10.77.255.254", "fd77:7061:6173::1", "fd77:7061:6173::ffff:1"]
INET, INET4, INET6 = 1, 2, 10  # NFPROTO_INET, AF_INET, AF_INET6
NODAD_NOPREFIXROUTE = 0x202


def inside(work: Callable[[IPRoute], Any]) -> Any:
    """What `work` returns in a network namespace that ends with it."""

    def child() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        with IPRoute() as oracle:
            oracle.link("set", index=1, state="up")
            return work(oracle)

    before = os.stat("/proc/self/ns/net").st_ino
    result = run_forked(child, what="the network namespace of a test", patience=120)
    assert os.stat("/proc/self/ns/net").st_ino == before
    return result


def links(oracle: IPRoute) -> dict[int, str]:
    return {link["index"]: link.get_attr("IFLA_IFNAME") for link in oracle.get_links()}


def number(protocol: Any) -> int:
    """Of an address: one version of pyroute2 has it as a number, another as a byte."""
    return protocol if isinstance(protocol, int) else int.from_bytes(protocol or b"")


def as_read_by(oracle: IPRoute) -> set[str]:
    """The networks that Links.observe answers, by the other library."""
    routes = [
        f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
        for family in (INET4, INET6)
        for route in oracle.get_routes(family=family, table=255)
        if route["proto"] == PROTOCOL
    ]
    addresses = [
        address.get_attr("IFA_ADDRESS")
        for address in oracle.get_addr(family=INET6)
        if number(address.get_attr("IFA_PROTO")) == PROTOCOL
    ]
    return {network.removesuffix("/32") for network in routes} | set(addresses) - {SOURCE6}


def may_bind(address: str) -> bool:
    try:
        with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET):
            return True
    except OSError as error:
        assert error.errno == errno.EADDRNOTAVAIL
        return False


def source(address: str) -> str:
    """Where a client that binds nothing comes from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]),
    ):
        return str(server.accept()[1][0])


@pytest.mark.parametrize("asked", [[], POOLS[:1], POOLS[1:], POOLS], ids=["none", "v4", "v6", "both"])
def test_what_we_add_both_read(asked: list[str]) -> None:
    def work(oracle: IPRoute) -> Any:
        wrong = Links().add(asked)
        return wrong, Links().observe(), as_read_by(oracle)

    wrong, ours, theirs = inside(work)
    assert wrong == [""] * len(asked)
    assert ours == dict.fromkeys(asked, True)
    assert ours.keys() == theirs


def test_every_address_of_a_pool_can_be_bound_and_a_client_is_not_taken_for_localhost(tmp_path: Path) -> None:
    was_off = tmp_path / "was_off"

    def work(_: IPRoute) -> Any:
        links = Links(str(was_off))
        before = [may_bind(address) for address in SOME]
        links.add(POOLS)
        during = [may_bind(address) for address in SOME], [source(address) for address in SOME]
        assert was_off.exists()
        links.remove(POOLS)
        return before, during, [may_bind(address) for address in SOME]

    before, (bound, sources), after = inside(work)
    assert before == after == [False] * 4
    assert bound == [True] * 4
    assert sources == [*SOME[:2], SOURCE6, SOURCE6]
    assert not was_off.exists()


def test_a_source_that_somebody_else_has_added_serves(tmp_path: Path) -> None:
    def work(oracle: IPRoute) -> Any:
        oracle.addr("add", index=1, address=SOURCE6, prefixlen=128)
        return Links().add(POOLS), Links().observe()

    assert inside(work) == ([""] * 2, dict.fromkeys(POOLS, True))


def test_a_sysctl_that_somebody_else_has_set_stays(tmp_path: Path) -> None:
    def work(_: IPRoute) -> Any:
        Path(NONLOCAL_BIND).write_text("1")
        links = Links(str(tmp_path / "was_off"))
        links.add(POOLS)
        links.remove(POOLS)
        return Path(NONLOCAL_BIND).read_text()

    assert inside(work) == "1\n"


@pytest.mark.parametrize("spoil", ["sysctl", "source", "route without source"])
def test_what_an_ipv6_pool_needs_is_missed_and_mended(spoil: str) -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add(POOLS)
        match spoil:
            case "sysctl":
                Path(NONLOCAL_BIND).write_text("0")
            case "source":
                oracle.addr("del", index=1, address=SOURCE6, prefixlen=128)
            case _:
                for verb in ("del", "add"):
                    oracle.route(verb, dst=POOLS[1], oif=1, table=255, proto=PROTOCOL, type="local")
        spoilt = Links().observe()
        wrong = Links().add(POOLS[1:])
        return spoilt, wrong, Links().observe(), source(SOME[3])

    spoilt, wrong, mended, came_from = inside(work)
    assert spoilt == {POOLS[0]: True, POOLS[1]: False}
    assert wrong == [""]
    assert mended == dict.fromkeys(POOLS, True)
    assert came_from == SOURCE6


@pytest.mark.parametrize(
    ("theirs", "wrong"),
    [
        (("10.77.1.0/24", "fd77:7061:6173::/64"), ["10.77.1.0/24", "fd77:7061:6173::/64"]),
        (("10.77.1.1/32", "fd77:7061:6173:1::/64"), ["10.77.1.1", ""]),
        (("10.0.0.0/8", "default"), ["", ""]),
    ],
)
def test_a_pool_into_which_a_route_leads_is_left(theirs: tuple[str, str], wrong: list[str]) -> None:
    def work(oracle: IPRoute) -> Any:
        oracle.link("add", ifname="lan", kind="veth", peer="wire")
        for name in ("lan", "wire"):
            oracle.link("set", index=oracle.link_lookup(ifname=name)[0], state="up")
        for network, family in zip(theirs, (INET4, INET6), strict=True):
            oracle.route("add", dst=network, oif=oracle.link_lookup(ifname="lan")[0], family=family)
        return Links().add(POOLS), Links().observe()

    said, there = inside(work)
    expected = [f"this machine has a route to {network}: choose another pool" if network else "" for network in wrong]
    assert said == expected
    assert there == {pool: True for pool, text in zip(POOLS, wrong, strict=True) if not text}


def test_without_ipv6_the_other_pool_is_made_and_it_is_said() -> None:
    def work(_: IPRoute) -> Any:
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        return Links().add(POOLS), Links().observe()

    wrong, ours = inside(work)
    assert wrong[0] == ""
    assert wrong[1]
    assert ours == {POOLS[0]: True}


def test_what_somebody_else_adds_is_read_where_it_is_ours() -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add(POOLS[:1])
        for address, protocol in (("10.77.0.7", PROTOCOL), ("10.77.0.8", 4)):
            oracle.route("add", dst=f"{address}/32", oif=1, table=255, proto=protocol, type="local", scope=254)
        oracle.addr("add", index=1, address="fd77::8", prefixlen=128)
        oracle.addr("add", index=1, address="10.77.0.9", prefixlen=32)
        return Links().observe(), as_read_by(oracle)

    ours, theirs = inside(work)
    assert ours.keys() == theirs == {POOLS[0], "10.77.0.7"}


def as_version_0_1_did(oracle: IPRoute, link: int) -> None:
    """A local route for each IPv4 address, and each IPv6 address an address."""
    for address in SOME[:2]:
        oracle.route("add", dst=f"{address}/32", oif=link, table=255, proto=PROTOCOL, type="local", scope=254)
    for address in SOME[2:]:
        oracle.addr(
            "add", index=link, address=address, prefixlen=128, IFA_PROTO=PROTOCOL, IFA_FLAGS=NODAD_NOPREFIXROUTE
        )


@pytest.mark.parametrize("link", ["lo", "paas0"])
def test_addresses_of_version_0_1_are_replaced_while_clients_are_served(link: str) -> None:
    def work(oracle: IPRoute) -> Any:
        if link != "lo":  # not every kernel has dummy links, which it was
            oracle.link("add", ifname=link, kind="veth", peer="other")
            oracle.link("set", index=oracle.link_lookup(ifname=link)[0], state="up")
        as_version_0_1_did(oracle, oracle.link_lookup(ifname=link)[0])
        oracle.addr("add", index=1, address="fd77::8", prefixlen=128)
        servers = [
            socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            for address in SOME
        ]
        clients = [socket.create_connection(server.getsockname()[:2]) for server in servers]
        found = Links().observe()
        wrong = [*Links().add(POOLS), *Links().remove(SOME)]
        for client, server in zip(clients, servers, strict=True):
            client.sendall(b"old")
            with socket.create_connection(server.getsockname()[:2], 5):
                assert server.accept()[0].recv(9) == b"old"
                server.accept()
        others = {each.get_attr("IFA_ADDRESS") for each in oracle.get_addr(family=INET6)}
        return found, wrong, Links().observe(), as_read_by(oracle), others, list(links(oracle).values())

    found, wrong, ours, theirs, others, names = inside(work)
    assert found == dict.fromkeys(SOME, True)
    assert wrong == [""] * 6
    assert ours == dict.fromkeys(POOLS, True)
    assert theirs == set(POOLS)
    assert "fd77::8" in others
    assert "paas0" not in names


def test_what_we_remove_is_gone_for_both_and_no_more_than_that() -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add([*POOLS, "fd78::/64"])
        oracle.addr("add", index=1, address="fd77::8", prefixlen=128)
        wrong = Links().remove([POOLS[1], "10.77.3.3", "fd77::8"])
        some = Links().observe(), as_read_by(oracle)
        Links().remove([POOLS[0], "fd78::/64"])
        others = {each.get_attr("IFA_ADDRESS") for each in oracle.get_addr(family=INET6)}
        return wrong, some, (Links().observe(), as_read_by(oracle)), others

    wrong, (ours, theirs), last, others = inside(work)
    assert wrong == [""] * 3
    assert ours == {POOLS[0]: True, "fd78::/64": True}
    assert theirs == ours.keys()
    assert last == ({}, set())
    assert "fd77::8" in others
    assert SOURCE6 not in others


def test_tables_and_generations_of_nftables() -> None:
    """has_table sees what the other library makes, by family and whole name; each transaction counts."""

    def work(_: IPRoute) -> Any:
        seen = [nfnetlink.has_table("inet paas_isolate")]
        generations = [nfnetlink.generation()]
        with NFTables(nfgen_family=INET) as oracle:
            for verb, name in (("add", "paas_isolate2"), ("add", "paas_isolate"), ("del", "paas_isolate")):
                oracle.table(verb, name=name)
                seen.append(nfnetlink.has_table("inet paas_isolate"))
                generations.append(nfnetlink.generation())
            listed = [table.get_attr("NFTA_TABLE_NAME") for table in oracle.get_tables()]
        return seen, generations, listed

    seen, generations, listed = inside(work)
    assert seen == [False, False, True, False]
    first = generations[0]
    assert generations == [first, first + 1, first + 2, first + 3]
    assert listed == ["paas_isolate2"]
