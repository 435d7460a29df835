"""Bandwidth that accounts are sold, between two network namespaces of the test's own: the rates that arrive."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kernel.host import ALICE, BOB, CAROL, TestHost, many
from tests.support.kernel.network_host import NetworkHost
from tests.support.kernel.network_namespaces import NetworkNamespace, neighbour_of, opened
from tests.support.kernel.streams import TCP, UDP, Stream, rates
from tests.support.paths import SUPPORT

pytestmark = pytest.mark.kernel
HERE, HERE6 = "192.0.2.1", "2001:db8::1"
THERE, THERE6 = "192.0.2.2", "2001:db8::2"
LOCAL = "limits: {memory: {kill: process}"
TABLE = ("nft", "list", "table", "inet", "paas_isolate_bandwidth")


class Wire:
    """A hosting machine with the interface eth7 to another machine."""

    def __init__(self, network: NetworkHost, beside: NetworkNamespace) -> None:
        self.network, self.host, self.beside = network, network.host, beside
        self.at_here = network.command()
        self.at_there = ["nsenter", f"--net=/run/netns/{beside.name}"]

    def sell(self, account: str, rates: str) -> None:
        self.host.account(account, f"{LOCAL}, network: {{{rates}}}}}\n")

    def reconcile(self) -> str:
        done = self.network.run("reconcile")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, *words: str) -> str:
        done = self.network.inside(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sent(self, *streams: Stream, warm: float = 0.7, seconds: float = 2.5) -> list[float]:
        """Mbit a second of the link layer."""
        arrived = rates(self.at_here, self.at_there, streams, warm=warm, seconds=seconds)
        return [rate * stream.frame_share for rate, stream in zip(arrived, streams, strict=True)]

    def port(self, call: str) -> str:
        """What a method of the port returns, in the machine's network namespace."""
        mark = str(self.host.place / "run" / "bandwidth")
        begin = "from paas_isolate.linux.network.bandwidth import HostBandwidth"
        return self.inside(sys.executable, "-c", f"{begin}; print(HostBandwidth({mark!r}).{call})")

    def received(self, *streams: Stream) -> list[float]:
        """Mbit a second of payload, from which IP packets that the receive offload has put together differ by less than
        3 %. The bucket of a second is empty after the first two."""
        return rates(self.at_there, self.at_here, streams, warm=2.5, seconds=3)


@pytest.fixture
def wire(host: TestHost) -> Iterator[Wire]:
    with opened() as space, neighbour_of(space) as beside:
        network = NetworkHost(host, space.name)
        for account in ("alice", "bob", "carol"):
            host.account(account, f"{LOCAL}}}\n")
        try:
            yield Wire(network, beside)
        finally:
            network.end()


def about(rate: float, share: float) -> object:
    return pytest.approx(rate, rel=share)


def comes_to(measure: Callable[[], list[float]], *expected: object) -> None:
    """One of three measurements: a machine that is busy otherwise may be too slow for what it measures."""
    for _ in range(2):
        if measure() == list(expected):
            return
    assert measure() == list(expected)


@pytest.mark.parametrize("address", [THERE, THERE6])
@pytest.mark.parametrize("kind", [TCP, UDP])
def test_what_an_account_sends_is_what_it_was_sold(wire: Wire, address: str, kind: int) -> None:
    wire.sell("alice", "out: 50Mbit")
    assert "limit what alice sends by eth7 to 50Mbit (was unlimited)" in wire.reconcile()
    comes_to(lambda: wire.sent(Stream(address, 9000, kind, ALICE)), about(50, 0.05))


@pytest.mark.parametrize("address", [HERE, HERE6])
@pytest.mark.parametrize("kind", [TCP, UDP])
def test_what_an_account_receives_is_what_it_was_sold(wire: Wire, address: str, kind: int) -> None:
    wire.sell("alice", "in: 50Mbit")
    wire.reconcile()
    comes_to(lambda: wire.received(Stream(address, 9000, kind, receiver=ALICE)), about(50, 0.1))


@pytest.fixture
def far(wire: Wire) -> Iterator[Wire]:
    """With a second interface, eth9, whose round trip is 50 ms."""
    names = wire.network.name, wire.beside.name
    program = ["/usr/bin/python3", str(SUPPORT / "kernel" / "delayed_link.py"), *names, "eth9", "50"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as link:
        assert link.stdout and link.stdout.readline()
        try:
            for inside, last in ((wire.inside, 1), (wire.beside.inside, 2)):
                inside("ip", "address", "add", f"198.51.100.{last}/24", "dev", "eth9")
                inside("ip", "link", "set", "eth9", "up")
            yield wire
        finally:
            link.kill()


@pytest.mark.parametrize("kind", [TCP, pytest.param(UDP, marks=pytest.mark.long)])
def test_far_away_it_is_the_same(far: Wire, kind: int) -> None:
    far.sell("alice", "out: 20Mbit")
    far.reconcile()
    stream = Stream("198.51.100.2", 9000, kind, ALICE)
    comes_to(lambda: far.sent(stream, warm=2), about(20, 0.05))  # a TUN device has no Ethernet header, which is 1 %
    far.sell("alice", "in: 20Mbit")
    far.reconcile()
    comes_to(lambda: far.received(Stream("198.51.100.1", 9000, kind, receiver=ALICE)), about(20, 0.1))


@pytest.mark.parametrize(
    ("sold", "expected", "share"),
    [
        ("1Mbit", 1, 0.08),  # TCP sends segments that are not full, which have a larger share of headers
        ("1Gbit", 1000, 0.05),
    ],
)
def test_slow_and_fast(wire: Wire, sold: str, expected: float, share: float) -> None:
    wire.sell("alice", f"out: {sold}")
    wire.reconcile()
    comes_to(lambda: wire.sent(Stream(THERE, 9000, TCP, ALICE), warm=2, seconds=4), about(expected, share))


def test_hundred_streams_of_an_account_share_its_rate(wire: Wire) -> None:
    wire.sell("alice", "out: 50Mbit")
    wire.reconcile()
    streams = [Stream(THERE, 9000 + n, TCP, ALICE) for n in range(100)]
    comes_to(lambda: [sum(wire.sent(*streams, warm=2))], about(50, 0.05))


def test_twenty_accounts_at_once_have_each_their_own(wire: Wire) -> None:
    many(wire.host, 20)
    for n in range(20):
        wire.host.account(f"a{n}", f"users: [u{n}]\n{LOCAL}, network: {{out: {5 + n}Mbit}}}}\n")
    wire.reconcile()
    streams = [Stream(THERE, 9000 + n, TCP, ALICE + 3 + n) for n in range(20)]
    comes_to(lambda: wire.sent(*streams), *(about(5 + n, 0.05) for n in range(20)))


def test_a_neighbour_without_a_limit_is_not_slowed(wire: Wire) -> None:
    """Beside alice, who fills her class: as fast as with no limits on the machine. The best of each, taken in turns:
    other processes of the machine slow single ones."""
    alice, bob = Stream(THERE, 9000, TCP, ALICE), Stream(THERE, 9001, TCP, BOB)
    alone = beside = 0.0
    for turn in range(8):
        wire.host.account("alice", f"{LOCAL}}}\n")
        wire.reconcile()
        alone = max(alone, wire.sent(bob, seconds=1)[0])
        wire.sell("alice", "out: 10Mbit, in: 10Mbit")
        wire.reconcile()
        beside = max(beside, wire.sent(alice, bob, seconds=1)[1])
        if turn and beside >= 0.95 * alone:
            break
    assert beside >= 0.95 * alone


def test_inside_the_machine_nothing_is_limited(wire: Wire) -> None:
    wire.sell("alice", "out: 1Mbit, in: 1Mbit")
    wire.reconcile()
    (rate,) = rates(wire.at_here, wire.at_here, [Stream("127.0.0.1", 9000, TCP, ALICE, ALICE)], warm=0.2, seconds=0.5)
    assert rate > 100


@pytest.mark.long
def test_thousand_accounts_at_once(wire: Wire) -> None:
    many(wire.host, 1000)
    for n in range(1000):
        wire.host.account(f"a{n}", f"users: [u{n}]\n{LOCAL}, network: {{out: 1Mbit, in: 1Mbit}}}}\n")
    wire.reconcile()
    streams = [Stream(THERE, 9000 + n, TCP, ALICE + 3 + n) for n in range(1000)]
    sent = wire.sent(*streams, warm=5, seconds=10)
    assert sum(sent) == about(1000, 0.05)
    assert all(rate == about(1, 0.1) for rate in sent)
    assert wire.reconcile().strip() == "nothing to do"


def state(wire: Wire) -> tuple[str, ...]:
    """What the kernel has of it, without counters."""
    qdisc, classes = (wire.inside("tc", what, "show", "dev", "eth7") for what in ("qdisc", "class"))
    # elements are listed in another order each time
    return (
        qdisc.partition(" direct_packets_stat")[0],
        *sorted(classes.splitlines()),
        *sorted(wire.inside(*TABLE).split()),
    )


@pytest.mark.parametrize(
    "damage",
    [
        "tc class del dev eth7 classid 7061:{number:x}",
        "tc class change dev eth7 parent 7061: classid 7061:{number:x} htb rate 1gbit quantum 15000",
        "tc class change dev eth7 parent 7061: classid 7061:{number:x} htb rate 20mbit ceil 1gbit quantum 15000",
        "tc class add dev eth7 parent 7061: classid 7061:99 htb rate 1gbit quantum 15000",
        "tc class del dev eth7 classid 7061:ffff",
        "tc qdisc del dev eth7 root",
        "nft delete table inet paas_isolate_bandwidth",
        "nft flush ruleset",
        "nft flush chain inet paas_isolate_bandwidth sent",
        "nft add rule inet paas_isolate_bandwidth received accept",
        "nft delete element inet paas_isolate_bandwidth senders {{ {uid} }}",
        "nft delete element inet paas_isolate_bandwidth receivers {{ {uid} }}",
        "nft add element inet paas_isolate_bandwidth senders {{ 4242 : 7061:1 }}",
        "nft add limit inet paas_isolate_bandwidth foreign {{ rate 1 bytes/second; }}",
    ],
)
def test_what_was_changed_by_hand_is_put_back(wire: Wire, damage: str) -> None:
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    before = state(wire)
    assert wire.reconcile().strip() == "nothing to do"
    wire.inside(*damage.format(number=ALICE % 0xFFFE + 1, uid=ALICE).split())
    assert wire.network.run("diff", "--exit-code").returncode == 3
    assert "nothing to do" not in wire.reconcile()
    assert state(wire) == before
    assert wire.reconcile().strip() == "nothing to do"


def test_status_doctor_and_diff_tell_of_it(wire: Wire) -> None:
    wire.sell("alice", "out: 20Mbit, in: unlimited")
    assert "limit what alice sends by eth7 to 20Mbit (was unlimited)" in wire.network.run("diff").stdout

    def told_by_doctor() -> list[str]:
        return [line for line in wire.network.run("doctor").stdout.splitlines() if "bandwidth" in line]

    (line,) = told_by_doctor()
    assert "FAILED" in line
    wire.reconcile()
    (line,) = told_by_doctor()
    assert "OK" in line
    assert "of 1 account, on eth7" in line
    assert "bandwidth: sends 20Mbit at most" in wire.network.run("status", "alice").stdout


def test_an_interface_that_comes_back_is_limited_again(wire: Wire) -> None:
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    before = state(wire)
    wire.inside("ip", "link", "del", "eth7")
    assert wire.reconcile().strip() == "nothing to do"
    wire.inside("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    wire.inside("ip", "address", "add", "192.0.2.1/24", "dev", "eth7")
    wire.inside("ip", "link", "set", "eth7", "up")
    assert "limit what alice sends by eth7 to 20Mbit" in wire.reconcile()
    assert state(wire) == before


def test_a_changed_rate_changes_one_class_and_one_limit(wire: Wire) -> None:
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.sell("bob", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    wire.sell("alice", "out: 40Mbit, in: 50Mbit")
    told = wire.reconcile()
    assert "limit what alice sends by eth7 to 40Mbit (was 20Mbit)" in told
    assert f"add 'uid {ALICE} receives 50Mbit', remove 'uid {ALICE} receives 30Mbit'" in told
    assert "2 changes made" in told
    streams = Stream(THERE, 9000, TCP, ALICE), Stream(THERE, 9001, TCP, BOB)
    comes_to(lambda: wire.sent(*streams), about(40, 0.05), about(20, 0.05))


def test_when_nothing_is_sold_any_more_nothing_is_left(wire: Wire) -> None:
    untouched = wire.inside("tc", "qdisc", "show", "dev", "eth7")
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    wire.host.account("alice", f"{LOCAL}}}\n")
    wire.reconcile()
    assert wire.inside("tc", "qdisc", "show", "dev", "eth7") == untouched
    assert wire.network.inside(*TABLE).returncode != 0
    assert not (wire.host.place / "run" / "bandwidth").exists()
    assert wire.reconcile().strip() == "nothing to do"


@pytest.mark.parametrize(
    "damage",
    ["tc qdisc del dev eth7 root", "ip link del eth7", "nft delete table inet paas_isolate_bandwidth"],
)
def test_the_daemon_notices_within_a_minute(wire: Wire, damage: str) -> None:
    """By a glance that is part of its fingerprint of the machine."""
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    before = wire.port("glance()")
    assert wire.port("glance()") == before
    wire.inside(*damage.split())
    assert wire.port("glance()") != before


def test_an_installation_that_goes_leaves_nothing(wire: Wire) -> None:
    untouched = wire.inside("tc", "qdisc", "show", "dev", "eth7")
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    mark = wire.host.place / "run" / "bandwidth"
    assert wire.port("clear()") == "['eth7']\n"
    assert wire.inside("tc", "qdisc", "show", "dev", "eth7") == untouched
    assert wire.network.inside(*TABLE).returncode != 0
    assert not mark.exists()


def test_subordinate_uids_are_ranges_in_the_table(space: NetworkNamespace) -> None:
    program = """
from paas_isolate.model.network import UidRange
from paas_isolate.linux.network import bandwidth_table as table
from paas_isolate.model.bandwidth import *
one, more = UidRange(1000, 1000), UidRange(100000, 165535)
received = frozenset({Receiver(one, 9, 125), Receiver(more, 9, 125)})
old = BandwidthRules(frozenset({Sender(one, 9), Sender(more, 9)}), received)
new = BandwidthRules(frozenset({Sender(one, 9), Sender(more, 5)}), frozenset({Receiver(more, 9, 250)}))
for rules, was in ((old, None), (new, old), (old, new), (BandwidthRules(frozenset({Sender(one, 9)})), old)):
    table.set_rules(rules, was)
    assert table.observe() == (True, rules), table.observe()
table.set_rules(None, None)
assert table.observe() is None
"""
    space.inside(sys.executable, "-c", program)


def test_one_direction_needs_no_more_than_its_own(wire: Wire) -> None:
    wire.sell("alice", "in: 30Mbit")
    wire.reconcile()
    assert "htb" not in wire.inside("tc", "qdisc", "show", "dev", "eth7")
    assert "postrouting" not in wire.inside(*TABLE)
    wire.sell("alice", "out: 30Mbit, in: unlimited")
    wire.reconcile()
    assert "htb" in wire.inside("tc", "qdisc", "show", "dev", "eth7")
    assert "hook input" not in wire.inside(*TABLE)


def test_a_root_qdisc_that_somebody_has_set_stays_until_it_is_given_up(wire: Wire) -> None:
    wire.inside("tc", "qdisc", "add", "dev", "eth7", "root", "handle", "5:", "pfifo")
    wire.sell("alice", "out: 20Mbit")
    done = wire.network.run("reconcile")
    assert done.returncode == 1
    assert "its root qdisc is pfifo, which somebody has set" in done.stderr
    assert "pfifo 5:" in wire.inside("tc", "qdisc", "show", "dev", "eth7")
    wire.inside("tc", "qdisc", "replace", "dev", "eth7", "root", "handle", "7061:", "htb", "default", "ffff")
    assert "limit what alice sends by eth7" in wire.reconcile()


def test_a_card_with_several_queues_keeps_them_until_they_are_given_up(wire: Wire) -> None:
    wire.inside("ip", "link", "add", "eth8", "numtxqueues", "4", "type", "ifb")
    wire.inside("ip", "link", "set", "eth8", "up")
    wire.inside("ip", "route", "add", "198.51.100.0/24", "dev", "eth8")
    assert "qdisc mq 0: root" in wire.inside("tc", "qdisc", "show", "dev", "eth8")
    wire.sell("alice", "out: 20Mbit")
    done = wire.network.run("reconcile")
    assert done.returncode == 1
    assert "by eth8 cannot be limited: its root qdisc is mq" in done.stderr
    assert "limit what alice sends by eth7" in done.stdout
    wire.inside("tc", "qdisc", "replace", "dev", "eth8", "root", "handle", "7061:", "htb", "default", "ffff")
    assert "limit what alice sends by eth8 to 20Mbit" in wire.reconcile()
    wire.host.account("alice", f"{LOCAL}}}\n")
    wire.reconcile()
    assert "qdisc mq 0: root" in wire.inside("tc", "qdisc", "show", "dev", "eth8")


def test_a_route_by_several_interfaces_leads_to_each(wire: Wire) -> None:
    for name in ("eth8", "eth9"):
        wire.inside("ip", "link", "add", name, "type", "ifb")
        wire.inside("ip", "link", "set", name, "up")
    hops = ["nexthop", "dev", "eth8", "nexthop", "dev", "eth9"]
    wire.inside("ip", "route", "add", "198.51.100.0/24", *hops)
    wire.sell("alice", "out: 20Mbit")
    told = wire.reconcile()
    for name in ("eth7", "eth8", "eth9"):
        assert f"limit what alice sends by {name} to 20Mbit" in told


def test_an_account_whose_file_is_wrong_keeps_its_rate(wire: Wire) -> None:
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    before = state(wire)
    wire.sell("alice", "out: 20M")
    assert "expected a rate such as 100Mbit (bits; 20M could be bytes)" in wire.network.run("reconcile").stderr
    assert state(wire) == before


def test_an_account_that_goes_leaves_no_class(wire: Wire) -> None:
    wire.sell("alice", "out: 20Mbit, in: 30Mbit")
    wire.sell("carol", "out: 20Mbit, in: 30Mbit")
    wire.reconcile()
    Path(wire.host.etc, "accounts.d", "carol.yaml").unlink()
    wire.reconcile()
    assert str(CAROL) not in wire.inside(*TABLE)
    assert f"7061:{CAROL % 0xFFFE + 1:x}" not in wire.inside("tc", "class", "show", "dev", "eth7")


def test_the_classes_are_as_tc_shows_them(wire: Wire) -> None:
    wire.sell("alice", "out: 40Gbit")
    wire.sell("bob", "out: 8kbit")
    wire.reconcile()
    shown = wire.inside("tc", "class", "show", "dev", "eth7")
    assert "rate 40Gbit ceil 40Gbit" in shown
    assert "rate 8Kbit ceil 8Kbit" in shown
    assert wire.reconcile().strip() == "nothing to do"
