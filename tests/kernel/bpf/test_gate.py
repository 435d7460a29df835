"""The gate on this kernel: programs on a cgroup of the test's own, in a network and a mount namespace of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.paths import SUPPORT

pytestmark = pytest.mark.kernel
HOST = SUPPORT / "kernel" / "gate_host.py"
ALICE, BOB, CAROL, FRONT, STRANGER = 48_301, 48_302, 48_303, 48_304, 48_305
SUBORDINATE, SYSTEM, OUTSIDE = 165_636, 48_306, -1
A4, A6, B4, B6 = "10.77.0.1", "fd77:7061:6173::1", "10.77.0.2", "fd77:7061:6173::2"
C4, C6 = "10.77.0.3", "fd77:7061:6173::3"


class GateHost:
    """A process in namespaces of its own carries out lines of Python, each in a child of the uid that is named."""

    def __init__(self, cgroups: CgroupTree) -> None:
        self.root = cgroups.root
        for path in ("users", "users/alice", "users/bob", "users/carol"):
            cgroups.create(path)
        command = [
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            sys.executable,
            str(HOST),
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [*command, self.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def ask(self, uid: int, code: str) -> object:
        """What the code leaves in `answer`, or the name of the error that it ends with."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([uid, code]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the host has ended"
        return json.loads(answer)

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


@pytest.fixture
def host(cgroups: CgroupTree) -> Iterator[GateHost]:
    opened = GateHost(cgroups)
    try:
        yield opened
    finally:
        opened.end()


def bind(at: str, port: int = 8080, kind: str = "SOCK_STREAM") -> str:
    family = "AF_INET6" if ":" in at else "AF_INET"
    return f"s = socket.socket({family}, {kind}); s.bind(({at!r}, {port})); answer = s.getsockname()[0]"


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_customer_binds_addresses_of_their_own_only(host: GateHost, kind: str) -> None:
    for own in (A4, A6, f"::ffff:{A4}"):
        assert host.ask(ALICE, bind(own, kind=kind)) == own
    for other in (B4, B6, f"::ffff:{B4}", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"):
        assert host.ask(ALICE, bind(other, kind=kind)) == "PermissionError"
    assert host.ask(STRANGER, bind(A4, kind=kind)) == "PermissionError"
    assert host.ask(FRONT, bind(A4, kind=kind)) == "PermissionError"
    assert host.ask(STRANGER, bind("192.0.2.1", kind=kind)) == "192.0.2.1"
    assert host.ask(0, bind(B4, kind=kind)) == B4


def test_a_server_of_ipv6_only_has_the_ipv6_address(host: GateHost) -> None:
    for kind in ("SOCK_STREAM", "SOCK_DGRAM"):
        only = f"s = socket.socket(AF_INET6, {kind}); s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1); s.bind(('::', 80));"
        assert host.ask(ALICE, only + "keep[1] = s; answer = s.getsockname()[0]") == "::"
    meet = f"c = socket.create_connection(({A6!r}, 80), 3); answer = c.getpeername()[0]"
    assert host.ask(ALICE, "keep[2] = socket.create_server(('::', 80), family=AF_INET6);" + meet) == A6


@pytest.mark.parametrize("asked", ["0.0.0.0", "127.0.0.1", "127.9.9.9", "::", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("port", [80, 8080])
def test_everybody_has_a_localhost_of_their_own(host: GateHost, asked: str, port: int) -> None:
    """Both serve at the same port, both by localhost, and each hears what they sent themselves."""
    family = "AF_INET6" if ":" in asked else "AF_INET"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(asked, asked)
    serve = f"keep['s'] = s = socket.socket({family}); s.bind(({asked!r}, {port})); s.listen();"
    serve += "answer = s.getsockname()[:2]"
    meet = (
        f"c = socket.create_connection(({name!r}, {port}), 3); p, a = keep['s'].accept(); c.sendall(str(uid).encode());"
        "answer = [p.recv(99).decode(), c.getpeername()[0], a[0], p.getsockname()[0]]"
    )
    for uid in (ALICE, BOB):
        assert host.ask(uid, serve) == [asked, port]
    for uid in (ALICE, BOB):
        answer = host.ask(uid, meet)
        assert isinstance(answer, list), answer
        heard, peer, came, own = answer
        assert (heard, peer) == (str(uid), name)
        assert came in ("127.0.0.1", "::1", "::ffff:127.0.0.1") and own in (name, asked, came)


def test_without_an_own_server_localhost_is_the_machines(host: GateHost) -> None:
    both = "keep[1] = socket.create_server(('127.0.0.1', 3306)); keep[2] = socket.create_server(('0.0.0.0', 25));"
    both += "answer = 1"
    assert host.ask(0, both) == 1
    for port in (3306, 25):
        ask = f"c = socket.create_connection(('127.0.0.1', {port}), 3); answer = [*c.getpeername(), c.getsockname()[0]]"
        assert host.ask(ALICE, ask) == ["127.0.0.1", port, "127.0.0.1"]


def test_a_customer_with_shared_localhost_has_the_machines(host: GateHost) -> None:
    assert host.ask(CAROL, bind("127.0.0.1")) == "127.0.0.1"
    serve = "keep[1] = s = socket.create_server(('127.0.0.1', 7000)); answer = s.getsockname()[0]"
    assert host.ask(CAROL, serve) == "127.0.0.1"
    assert host.ask(STRANGER, "socket.create_connection(('127.0.0.1', 7000), 3); answer = 'came'") == "came"


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_only_grants_reach_an_address(host: GateHost, kind: str) -> None:
    """Nobody listens: what the gate lets pass is refused by the kernel, at once."""
    for address in (A4, A6, f"::ffff:{A4}"):
        family = "AF_INET6" if ":" in address else "AF_INET"
        code = f"s = socket.socket({family}, {kind}); s.connect(({address!r}, 9)); answer = 'passed'"
        passed = "ConnectionRefusedError" if kind == "SOCK_STREAM" else "passed"
        asked = {uid: host.ask(uid, code) for uid in (ALICE, BOB, CAROL, FRONT, STRANGER, 0)}
        no = "PermissionError"
        assert asked == {ALICE: passed, BOB: no, CAROL: passed, FRONT: passed, STRANGER: no, 0: passed}


def test_datagrams_go_by_the_same_rules(host: GateHost) -> None:
    for other in (B4, B6, f"::ffff:{B4}"):
        family = "AF_INET6" if ":" in other else "AF_INET"
        send = f"answer = socket.socket({family}, SOCK_DGRAM).sendto(b'x', ({other!r}, 9))"
        assert host.ask(ALICE, send) == "PermissionError"
    for asked, name in (("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1")):
        family = "AF_INET6" if ":" in asked else "AF_INET"
        talk = (
            f"s, c = (socket.socket({family}, SOCK_DGRAM) for _ in range(2)); s.bind(({asked!r}, 5353));"
            f"c.settimeout(3); c.sendto(b'hello', ({name!r}, 5353)); said, a = s.recvfrom(9); s.sendto(said, a);"
            "said, a = c.recvfrom(9); answer = [said.decode(), a[0]]"
        )
        assert host.ask(ALICE, talk) == ["hello", name]


def test_what_is_sent_to_the_world_keeps_the_machines_address(host: GateHost) -> None:
    code = "s = socket.socket(AF_INET, SOCK_DGRAM); s.bind(('0.0.0.0', 0)); s.connect(('192.0.2.9', 9));"
    assert host.ask(ALICE, code + "answer = s.getsockname()[0]") == "192.0.2.1"


def test_a_network_namespace_of_a_customers_is_not_affected(host: GateHost) -> None:
    """Nothing of ours is in it, and nothing of it reaches ours."""
    code = "libc.unshare(0x50000000); s = socket.socket();"  # CLONE_NEWUSER, CLONE_NEWNET
    code += "s.bind(('127.0.0.1', 80)); answer = s.getsockname()[0]"
    assert host.ask(ALICE, code) == "127.0.0.1"


def test_a_subordinate_uid_is_its_accounts(host: GateHost) -> None:
    serve = "keep[1] = s = socket.create_server(('0.0.0.0', 8080)); answer = s.getsockname()[0]"
    assert host.ask(SUBORDINATE, serve) == "0.0.0.0"
    assert host.ask(BOB, serve) == "0.0.0.0"
    meet = "c = socket.create_connection(('127.0.0.1', 8080), 3); answer = c.getpeername()[0]"
    assert host.ask(ALICE, meet) == "127.0.0.1"
    assert host.ask(SUBORDINATE, bind(A4, 8081)) == A4
    for other in (B4, B6, "192.0.2.1"):
        assert host.ask(SUBORDINATE, bind(other)) == "PermissionError"
    assert host.ask(SUBORDINATE, f"socket.create_connection(({B4!r}, 8080), 3); answer = 1") == "PermissionError"
    fewer = "fewer = gate._replace(subordinates={}); keeper.set(fewer, gate); answer = keeper.observe() == fewer"
    assert host.ask(0, "answer = keeper.observe(keeper.accounts()) == keeper.observe() == gate") is True
    assert host.ask(0, fewer) is True
    assert host.ask(SUBORDINATE, bind("192.0.2.1")) == "192.0.2.1"


def test_who_is_no_customer_is_none_in_a_customers_cgroup_either(host: GateHost) -> None:
    for uid in (SYSTEM, 0):
        for at in ("0.0.0.0", "127.0.0.1", "192.0.2.1", "::", "::1"):
            assert host.ask(uid, f"{bind(at, 9000)}; s.close()") == at, (uid, at)


UNBOUND = "s = socket.socket({}); s.listen(); keep[1] = s; answer = s.getsockname()[1]"
PORT_0 = "s = socket.socket({1}); s.bind(({0!r}, 0)); s.listen(); keep[1] = s; answer = s.getsockname()[1]"
RANGE = (
    "s = socket.socket(); s.setsockopt(0, 51, (40_000 | 40_000 << 16).to_bytes(4, 'little')); s.listen();"
    "keep[1] = s; answer = 40_000"
)


@pytest.mark.parametrize(
    "listen",
    [
        pytest.param(UNBOUND.format("AF_INET"), id="no bind, IPv4"),
        pytest.param(UNBOUND.format("AF_INET6"), id="no bind, IPv6"),
        pytest.param(PORT_0.format("0.0.0.0", "AF_INET"), id="port 0, IPv4"),
        pytest.param(PORT_0.format("::", "AF_INET6"), id="port 0, IPv6"),
        pytest.param(RANGE, id="IP_LOCAL_PORT_RANGE"),
        pytest.param(PORT_0.format("::ffff:0.0.0.0", "AF_INET6"), id="port 0, mapped"),
    ],
)
def test_a_listener_at_a_port_that_the_kernel_chose_answers_no_neighbour(host: GateHost, listen: str) -> None:
    for server in (ALICE, SUBORDINATE):
        port = host.ask(server, listen)
        assert isinstance(port, int), port
        for name in (
            "127.0.0.1",
            "0.0.0.0",
            "::ffff:127.0.0.1",
            "127.8.8.8",
            *(("::1", "::") if "'::'" in listen or ("AF_INET6);" in listen and "bind" not in listen) else ()),
        ):
            come = f"socket.create_connection(({name!r}, {port}), 3); answer = 'came'"
            assert host.ask(BOB, come) == "PermissionError", name
            assert host.ask(CAROL, come) == "PermissionError", name
            for own in (ALICE, SUBORDINATE, STRANGER, 0):
                assert host.ask(own, come) == "came", name
        for uid, name in (
            (ALICE, "192.0.2.1"),
            (0, "2001:db8::1"),
            (OUTSIDE, "198.51.100.1"),
            (OUTSIDE, "2001:db8:1::1"),
        ):
            come = f"socket.create_connection(({name!r}, {port}), 3); answer = 'came'"
            assert host.ask(uid, come) == "ConnectionRefusedError", name
        assert host.ask(server, "keep.clear(); s.close(); answer = 1") == 1


def test_listeners_of_others_stay_open_to_all(host: GateHost) -> None:
    """Root's in a customer's cgroup, too, and at a port that a customer's listener has had."""
    for uid, begin in (
        *((uid, "") for uid in (SYSTEM, STRANGER, FRONT, 0)),
        (0, f"open({host.root + '/users/alice/cgroup.procs'!r}, 'w').write('0');"),
    ):
        assert host.ask(ALICE, f"{RANGE}; s.close(); keep.clear()") == 40_000
        serve = "keep[1] = s = socket.create_server(('', 40_000)); answer = s.getsockname()[1]"
        port = host.ask(uid, begin + serve)
        assert port == 40_000
        for who, name in ((BOB, "127.0.0.1"), (ALICE, "192.0.2.1"), (OUTSIDE, "198.51.100.1")):
            come = f"socket.create_connection(({name!r}, {port}), 3); answer = 'came'"
            assert host.ask(who, come) == "came", (uid, name)
        assert host.ask(uid, "s.close(); keep.clear(); answer = 1") == 1


def test_a_port_is_open_again_when_its_listener_has_ended(host: GateHost) -> None:
    come = "socket.create_connection(('127.0.0.1', 40_000), 3); answer = 'came'"
    for end in ("s.close()", "s.shutdown(SHUT_RDWR)"):
        assert host.ask(ALICE, RANGE) == 40_000
        assert host.ask(BOB, come) == "PermissionError"
        assert host.ask(ALICE, f"keep.clear(); {end}; answer = 1") == 1
        assert host.ask(BOB, come) == "ConnectionRefusedError"


@pytest.mark.hostile
def test_who_has_connected_before_a_neighbour_listens_is_refused(host: GateHost) -> None:
    """TCP Fast Open sends the first packet with the first data, long after the gate's connect."""
    for uid, end in ((BOB, "ConnectionRefusedError"), (ALICE, "came"), (0, "came")):
        assert host.ask(0, "open('/proc/sys/net/ipv4/tcp_fastopen', 'w').write('5'); answer = 1") == 1
        early = "keep[2] = c = socket.socket(); c.setsockopt(IPPROTO_TCP, 30, 1); c.connect(('127.0.0.1', 40_000))"
        assert host.ask(uid, f"{early}; c.settimeout(3); answer = 1") == 1
        assert host.ask(ALICE, RANGE) == 40_000
        late = "c.send(b'x'); c.send(b'x'); answer = 'came'"
        assert host.ask(uid, late) == end
        assert host.ask(uid, "keep.pop(2).close(); answer = 1") == 1
        assert host.ask(ALICE, "keep.clear(); s.close(); answer = 1") == 1


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_nothing_comes_to_an_account_from_outside(host: GateHost, kind: str) -> None:
    """Another machine may have a route to the pools. Only where the ruleset translates addresses, the gate lets pass
    what the ruleset has led there."""
    for at in (A4, A6):
        family = "AF_INET6" if ":" in at else "AF_INET"
        serve = f"keep[{at!r}] = s = socket.socket({family}, {kind}); s.bind(({at!r}, 8080)); s.settimeout(1);"
        assert host.ask(ALICE, serve + ("s.listen();" if kind == "SOCK_STREAM" else "") + "answer = 1") == 1
        come = (
            f"c = socket.socket({family}, {kind}); c.settimeout(1); c.connect(({at!r}, 8080)); c.send(b'x'); answer = 1"
        )
        taken = f"answer = (keep[{at!r}].{'accept' if kind == 'SOCK_STREAM' else 'recvfrom'}(9) and 'came')".replace(
            "accept(9)", "accept()"
        )
        closed = host.ask(OUTSIDE, come)
        assert closed == ("ConnectionRefusedError" if kind == "SOCK_STREAM" else 1)
        assert host.ask(ALICE, taken) == "TimeoutError"
    nat = "nat = gate._replace(translates=True); keeper.set(nat, gate); answer = keeper.observe() == nat"
    assert host.ask(0, nat) is True
    assert host.ask(OUTSIDE, come) == 1
    assert host.ask(ALICE, taken) == "came"


def test_the_gate_reports_what_needs_translation(host: GateHost) -> None:
    """A socket that is bound to an account's address and sends to another machine."""
    assert host.ask(0, "answer = keeper.leaves()") is False
    for kind, go in (("SOCK_STREAM", "connect(('127.0.0.1', 9))"), ("SOCK_DGRAM", f"sendto(b'x', ({A4!r}, 9))")):
        host.ask(ALICE, f"c = socket.socket(AF_INET, {kind}); c.bind(({A4!r}, 0)); c.{go}; answer = 1")
    host.ask(ALICE, "c = socket.socket(AF_INET, SOCK_DGRAM); c.sendto(b'x', ('198.51.100.2', 9)); answer = 1")
    assert host.ask(0, "answer = keeper.leaves()") is False
    for family, kind, at, go in (
        ("AF_INET", "SOCK_STREAM", A4, "connect(('198.51.100.2', 9))"),
        ("AF_INET6", "SOCK_STREAM", A6, "connect(('2001:db8:1::2', 9))"),
        ("AF_INET6", "SOCK_STREAM", f"::ffff:{A4}", "connect(('::ffff:198.51.100.2', 9))"),
        ("AF_INET", "SOCK_DGRAM", "0.0.0.0", "sendto(b'x', ('198.51.100.2', 9))"),
        ("AF_INET6", "SOCK_DGRAM", A6, "sendto(b'x', ('2001:db8:1::2', 9))"),
    ):
        come = f"c = socket.socket({family}, {kind}); c.settimeout(0); c.bind(({at!r}, 4000)); c.{go}; answer = 1"
        host.ask(ALICE, come)
        assert host.ask(0, "answer = keeper.leaves()") is True, (family, kind)
        assert host.ask(0, "keeper.remove(); keeper.set(gate, None); answer = keeper.leaves()") is False


def test_a_mapped_socket_that_connects_to_the_wildcard_meets_no_neighbour(host: GateHost) -> None:
    """The kernel makes :: of such a socket 127.0.0.1."""
    port = host.ask(ALICE, PORT_0.format("0.0.0.0", "AF_INET"))
    come = f"c = socket.socket(AF_INET6); c.bind(('::ffff:{B4}', 0)); c.connect(('::', {port})); answer = 1"
    assert host.ask(BOB, come) == "PermissionError"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("at", "name"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::", "127.0.0.1")])
def test_a_listener_that_is_bound_to_lo_answers_no_neighbour(host: GateHost, when: str, at: str, name: str) -> None:
    device = "s.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b'lo');"
    family = "AF_INET6" if at == "::" else "AF_INET"
    listen = PORT_0.format(at, family)
    listen = listen.replace("s.listen();", f"{device} s.listen();" if when == "before" else f"s.listen(); {device}")
    port = host.ask(ALICE, listen)
    come = f"socket.create_connection(({name!r}, {port}), 1); answer = 'came'"
    assert host.ask(BOB, come) == "PermissionError"
    assert host.ask(ALICE, come) == host.ask(STRANGER, come) == host.ask(0, come) == "came"


def test_a_listener_of_shared_localhost_answers_there(host: GateHost) -> None:
    port = host.ask(CAROL, PORT_0.format("0.0.0.0", "AF_INET"))
    assert host.ask(BOB, f"socket.create_connection(('127.0.0.1', {port}), 3); answer = 'came'") == "came"


def test_the_kinds_of_sockets_that_a_customer_may_make(host: GateHost) -> None:
    """SCTP and AF_SMC need modules that this kernel may not have: tests/guest tries them."""
    for kind, protocol in (("STREAM", 6), ("STREAM", 262), ("DGRAM", 17)):
        made = f"socket.socket(AF_INET, SOCK_{kind}, {protocol}); answer = 1"
        assert host.ask(ALICE, made) == host.ask(0, made) == 1, protocol
    lite = "socket.socket(AF_INET, SOCK_DGRAM, 136); answer = 1"
    assert (host.ask(ALICE, lite), host.ask(0, lite)) == ("PermissionError", 1)
    meet = "s = socket.create_server(('127.0.0.1', 8080)); c = socket.socket(AF_INET, SOCK_STREAM, 262);"
    assert host.ask(ALICE, meet + "c.connect(('127.0.0.1', 8080)); answer = s.accept()[1][0]") == "127.0.0.1"


EXCHANGE = """
keep['server'] = server = socket.create_server(({0!r}, 8080), family={1})
keep['client'] = client = socket.create_connection(({0!r}, 8080))
keep['served'] = served = server.accept()[0]
def send(there, here, count):
    there.sendall(bytes(count))
    while count: count -= len(here.recv(65536))
send(client, served, 1000); send(served, client, 300_000); answer = 1
"""
TRAFFIC = "answer = list(keeper.traffic().get('alice', [0] * 4))"


def traffic(host: GateHost) -> list[int]:
    counted = host.ask(0, TRAFFIC)
    assert isinstance(counted, list)
    return counted


@pytest.mark.parametrize(("at", "family"), [("127.0.0.1", "AF_INET"), ("::1", "AF_INET6"), (A4, "AF_INET")])
def test_payload_is_counted_exactly_while_a_connection_lives_and_when_it_has_ended(
    host: GateHost, at: str, family: str
) -> None:
    """Both ends are alice's, so each byte counts on both sides. SYN and FIN may count as a byte each (RFC 4898)."""
    host.ask(ALICE, EXCHANGE.format(at, family))
    received, _, sent, segments = traffic(host)
    assert (received, sent) == (301_000, 301_001)
    assert segments > 8
    assert traffic(host) == traffic(host)
    assert host.ask(ALICE, "send(client, served, 5000); client.close(); served.close(); answer = 1") == 1
    received, _, sent, _ = traffic(host)
    assert received - 306_000 in (0, 1, 2)
    assert sent - 306_001 in (0, 1, 2)
    for _ in range(20):  # connections of which nobody reads the counters while they live
        assert host.ask(ALICE, EXCHANGE.format(at, family).replace("8080", "8081") + "keep.clear();") == 1
        assert host.ask(ALICE, "server.close(); client.close(); served.close(); answer = 1") == 1
    assert traffic(host)[0] - (306_000 + 20 * 301_000) in range(43)


def test_what_is_sent_by_others_in_another_place_does_not_count(host: GateHost) -> None:
    for uid in (STRANGER, 0):
        assert host.ask(uid, EXCHANGE.format("127.0.0.1", "AF_INET").replace("8080", f"{8080 + bool(uid)}")) == 1
    assert traffic(host) == [0] * 4


def test_a_changed_program_replaces_the_old_one_and_nothing_is_forgotten(host: GateHost) -> None:
    host.ask(ALICE, EXCHANGE.format("127.0.0.1", "AF_INET"))
    before = traffic(host)
    assert before[0] == 301_000
    spoil = "keeper._pins.drop('bind4'); answer = keeper.observe() is None"
    assert host.ask(0, spoil) is True
    assert host.ask(0, "keeper.set(gate, None); answer = keeper.observe() == gate") is True
    assert host.ask(ALICE, bind(B4)) == "PermissionError"
    assert traffic(host) == before
    assert host.ask(ALICE, "send(client, served, 1000); answer = 1") == 1
    assert traffic(host)[0] == 302_000


COUNTED = "found = keeper.counted(); answer = found and [found.map, sorted(map(list, found.traffic.values()))]"


def test_counters_are_of_a_map_that_has_another_id_when_it_was_made_anew(host: GateHost) -> None:
    host.ask(ALICE, EXCHANGE.format("127.0.0.1", "AF_INET"))
    before = host.ask(0, COUNTED)
    assert isinstance(before, list)
    assert before[1][0][0] == traffic(host)[0] == 301_000
    assert host.ask(0, "keeper.remove(); answer = keeper.counted()") is None
    assert host.ask(0, "keeper.set(gate, None); answer = 1") == 1
    after = host.ask(0, COUNTED)
    assert isinstance(after, list)
    assert after[0] != before[0]
    assert after[1] == []  # what began before is not counted


@pytest.mark.parametrize("name", ["connection", "arrives", "flush"])
def test_a_program_that_is_taken_away_is_missed(host: GateHost, name: str) -> None:
    assert host.ask(0, f"keeper._pins.drop({name!r}); answer = keeper.observe() is None") is True
    assert host.ask(0, "keeper.set(gate, None); answer = keeper.observe() == gate") is True


def test_elements_change_alone(host: GateHost) -> None:
    less = "gate._replace(homes={u: h for u, h in gate.homes.items() if u != uids[1]}, frontends=frozenset({33}))"
    assert host.ask(0, f"other = {less}; keeper.set(other, gate); answer = keeper.observe() == other") is True
    assert host.ask(BOB, bind(B4)) == "PermissionError"
    mixed = "other._replace(frontends=frozenset({33, uids[0]}), homes={**other.homes, uids[0]: other.homes[uids[2]]})"
    assert host.ask(0, f"mixed = {mixed}; keeper.set(mixed, other); answer = keeper.observe() == mixed") is True
    assert host.ask(0, "keeper.set(other, mixed); answer = keeper.observe() == other") is True
    assert host.ask(0, f"keeper.set(gate, {less}); answer = keeper.observe() == gate") is True
    assert host.ask(BOB, bind(B4)) == B4


def test_a_gate_that_refuses_nothing_is_reported_and_not_taken_for_whole(host: GateHost) -> None:
    """Attached for another network namespace, it lets everything pass."""
    other = "import types; from paas_isolate.linux.bpf.gate import gate as gates; gates.netns_cookie = lambda: 1;"
    code = f"{other} error = ''\ntry: keeper.set(gate, None)\nexcept Exception as e: error = str(e)\nanswer = error"
    assert "does not refuse to bind 10.77.0.0 and fd77:7061:6173::" in str(host.ask(0, code))
    assert host.ask(0, "answer = keeper.observe() is None") is True
    mend = "from paas_isolate.linux.bpf.gate.programs import netns_cookie; gates.netns_cookie = netns_cookie;"
    assert host.ask(0, f"{mend} keeper.set(gate, None); answer = keeper.observe() == gate") is True


def test_nothing_is_left_of_it(host: GateHost) -> None:
    assert host.ask(0, "keeper.remove(); answer = keeper.there()") is False
    assert host.ask(STRANGER, bind(A4)) == A4
