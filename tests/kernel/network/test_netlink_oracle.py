"""Our netlink code beside pyroute2's, in a network namespace of the test's own: both read the same."""

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from pyroute2 import IPRoute, NetlinkError
from pyroute2.nftables.main import NFTables

from paas_isolate.linux.network import nfnetlink
from paas_isolate.linux.network.links import PROTOCOL, Links
from paas_isolate.linux.process.child import run_forked
from paas_isolate.model.network import LINK

pytestmark = pytest.mark.kernel
NEWNET = 0x40000000
FEW = ["10.77.0.1", "10.77.255.254", "fd77:7061:6173::1", "fd77:7061:6173::ffff:1"]
MANY = [f"10.77.{n // 250}.{n % 250 + 1}" for n in range(3000)] + [f"fd77:7061:6173::{n + 1:x}" for n in range(3000)]
NODAD_NOPREFIXROUTE, INET = 0x202, 1


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


def as_read_by(oracle: IPRoute) -> dict[str, str]:
    """What Links.observe answers, by the other library."""
    names = links(oracle)
    routes = {
        route.get_attr("RTA_DST"): names[route.get_attr("RTA_OIF")]
        for route in oracle.get_routes(family=2, table=255)
        if route["proto"] == PROTOCOL
    }
    addresses = {
        address.get_attr("IFA_ADDRESS"): names[address["index"]]
        for address in oracle.get_addr(family=10)
        if number(address.get_attr("IFA_PROTO")) == PROTOCOL
    }
    return routes | addresses


@pytest.mark.parametrize("asked", [[], FEW[:1], FEW[2:], FEW, MANY], ids=["none", "v4", "v6", "both", "many"])
def test_what_we_add_both_read(asked: list[str]) -> None:
    def work(oracle: IPRoute) -> Any:
        wrong = Links().add(asked)
        return wrong, Links().observe(), as_read_by(oracle)

    wrong, ours, theirs = inside(work)
    assert wrong == [""] * len(asked)
    assert ours == theirs
    assert ours.keys() == set(asked)


def test_what_we_add_is_as_it_should_be() -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add(FEW)
        routes = [route for route in oracle.get_routes(family=2, table=255) if route["proto"] == PROTOCOL]
        addresses = [each for each in oracle.get_addr(family=10) if number(each.get_attr("IFA_PROTO")) == PROTOCOL]
        (link,) = [each for each in oracle.get_links() if each.get_attr("IFLA_IFNAME") in (LINK, "lo")][-1:]
        return (
            [(route["dst_len"], route["type"], route["scope"]) for route in routes],
            [(each["prefixlen"], each.get_attr("IFA_FLAGS") & NODAD_NOPREFIXROUTE) for each in addresses],
            link["flags"] & 1,
        )

    routes, addresses, up = inside(work)
    assert routes == [(32, 2, 254)] * 2
    assert addresses == [(128, NODAD_NOPREFIXROUTE)] * 2
    assert up


def test_what_somebody_else_adds_is_read_where_it_is_ours() -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add(FEW[:1])
        for address, protocol in (("10.77.0.7", PROTOCOL), ("10.77.0.8", 4)):
            oracle.route("add", dst=f"{address}/32", oif=1, table=255, proto=protocol, type="local", scope=254)
        oracle.addr("add", index=1, address="fd77::8", prefixlen=128)
        oracle.addr("add", index=1, address="10.77.0.9", prefixlen=32)
        return Links().observe(), as_read_by(oracle)

    ours, theirs = inside(work)
    assert ours == theirs
    assert ours.keys() == {FEW[0], "10.77.0.7"}
    assert ours["10.77.0.7"] == "lo"


def test_what_we_remove_is_gone_for_both_and_no_more_than_that() -> None:
    def work(oracle: IPRoute) -> Any:
        Links().add(FEW)
        oracle.addr("add", index=1, address="fd77::8", prefixlen=128)
        wrong = Links().remove([*FEW[1:], "10.77.3.3"])
        some = Links().observe(), as_read_by(oracle)
        Links().remove(FEW)
        others = {each.get_attr("IFA_ADDRESS") for each in oracle.get_addr(family=10)}
        return wrong, some, (Links().observe(), as_read_by(oracle)), others, list(links(oracle).values())

    wrong, (ours, theirs), last, others, names = inside(work)
    assert wrong == [""] * 4
    assert ours == theirs
    assert ours.keys() == {FEW[0]}
    assert last == ({}, {})
    assert "fd77::8" in others
    assert LINK not in names


def test_a_link_that_is_down_is_set_up() -> None:
    def work(oracle: IPRoute) -> Any:
        try:
            oracle.link("add", ifname=LINK, kind="dummy")
        except NetlinkError as error:
            return error.code
        Links().add(FEW)
        (index,) = oracle.link_lookup(ifname=LINK)
        (link,) = oracle.get_links(index)
        return link["flags"] & 1, link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND")

    found = inside(work)
    if found == errno.EOPNOTSUPP:
        pytest.skip("this kernel has no dummy links")
    assert found == (1, "dummy")


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
