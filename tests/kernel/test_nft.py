"""The second line in network namespaces of the test's own: who serves, who connects, what the LAN and the world see.

Each check is a process that steps down to a uid of nobody's and tries.
"""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paas_isolate.model.network import Grant

pytestmark = pytest.mark.kernel
POOLS = ("10.77.0.0/16", "fd77:7061:6173::/64")
ALICE, BOB, PEER, FRONT = 48_201, 48_202, 48_203, 48_033
A4, B4, A6, B6 = "10.77.0.1", "10.77.0.2", "fd77:7061:6173::1", "fd77:7061:6173::2"
OWNERS = {Grant(ALICE, A4), Grant(ALICE, A6), Grant(BOB, B4), Grant(BOB, B6), Grant(PEER, "10.77.0.3")}
PEERS = {Grant(PEER, A4), Grant(PEER, A6)}

PRELUDE = """
import os, socket, sys, time
def become(uid):
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
def child(uid, job):
    r, w = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(r); become(uid)
        try: os.write(w, str(job()).encode())
        except OSError as error: os.write(w, error.strerror.encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as said: answer = said.read()
    os.waitpid(pid, 0)
    return answer
def family(address): return socket.AF_INET6 if ':' in address else socket.AF_INET
def serving(uid, address, kind=socket.SOCK_STREAM, port=8080):
    ready, there = os.pipe()
    if (pid := os.fork()) == 0:
        become(uid)  # first: a socket is its maker's
        server = socket.socket(family(address), kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_DGRAM:
            os.close(there)
            while True:
                data, peer = server.recvfrom(99)
                try: server.sendto(str(uid).encode(), peer)
                except OSError: pass
        server.listen()
        os.close(there)
        while True:
            peer, _ = server.accept(); peer.sendall(str(uid).encode()); peer.close()
    os.close(there)
    os.read(ready, 1)  # which ends when the server has closed its end, or died
    return pid
def connect(address, port=8080, source=None):
    begin = time.monotonic()
    try:
        with socket.create_connection((address, port), 2, source_address=source) as it: return it.recv(99).decode()
    except OSError as error:
        return f"{type(error).__name__} {'at once' if time.monotonic() - begin < 1 else 'late'}"
def datagram(address, port=8080):
    with socket.socket(family(address), socket.SOCK_DGRAM) as it:
        it.settimeout(1); it.connect((address, port)); it.send(b'?'); return it.recv(99).decode()
"""


@dataclass
class Namespace:
    """A network namespace; `play` runs lines of Python in it and gives what they print, a line each."""

    name: str

    def inside(self, *words: str) -> str:
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def play(self, program: str) -> list[str]:
        whole = (
            f"{PRELUDE}\nservers = []\ntry:\n{_indented(program)}\nfinally:\n    for pid in servers: os.kill(pid, 9)\n"
        )
        return self.inside("/usr/bin/python3", "-c", whole).splitlines()

    def nft(self, program: str) -> str:
        begin = (
            "from paas_isolate.linux import nft\n"
            "from paas_isolate.model.network import Grant, Pools, Published, Rules\n"
            f"line = nft.Nft(Pools{POOLS})\n"
            f"rules = Rules(frozenset({OWNERS}), frozenset({PEERS}), frozenset([{FRONT}]))\n"
        )
        return self.inside(sys.executable, "-c", begin + program).strip()


def _indented(program: str) -> str:
    return "\n".join(f"    {line}" for line in program.strip().splitlines())


@pytest.fixture
def space() -> Iterator[Namespace]:
    name = f"paas-test-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        opened = Namespace(name)
        opened.inside("ip", "link", "set", "lo", "up")
        for address in (A4, B4, "10.77.0.3", A6, B6):
            opened.inside("ip", "address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo")
        yield opened
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def guarded(space: Namespace) -> Namespace:
    space.nft("line.lay(rules)")
    return space


@pytest.mark.parametrize("address", [A4, A6])
def test_only_owner_peers_front_ends_and_root_connect(guarded: Namespace, address: str) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{address}")]
for uid in ({ALICE}, {PEER}, {FRONT}, 0, {BOB}, 65534): print(child(uid, lambda: connect("{address}")))
""")
    assert said == [str(ALICE)] * 4 + ["ConnectionRefusedError at once"] * 2


@pytest.mark.parametrize("address", [A4, A6])
def test_datagrams_pass_to_the_same_and_no_others(guarded: Namespace, address: str) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{address}", socket.SOCK_DGRAM)]
for uid in ({ALICE}, {PEER}, {FRONT}, 0, {BOB}): print(child(uid, lambda: datagram("{address}")))
""")
    assert said[:4] == [str(ALICE)] * 4
    assert said[4] != str(ALICE)


def test_without_the_table_everybody_connects(space: Namespace) -> None:
    """So that the tests above cannot pass for another reason."""
    said = space.play(f"""
servers = [serving({ALICE}, "{A4}")]
print(child({BOB}, lambda: connect("{A4}")))
""")
    assert said == [str(ALICE)]


@pytest.mark.parametrize("client", [0, FRONT, ALICE, PEER])
@pytest.mark.parametrize("squatter", [BOB, PEER])
def test_a_squatter_is_never_reached(guarded: Namespace, client: int, squatter: int) -> None:
    said = guarded.play(f"""
servers = [serving({squatter}, "{A4}"), serving({squatter}, "{A4}", socket.SOCK_DGRAM)]
print(child({client}, lambda: connect("{A4}")))
print(child({client}, lambda: datagram("{A4}")))
""")
    assert str(squatter) not in said


def test_a_peer_from_its_own_address_gets_its_answer(guarded: Namespace) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{A4}")]
print(child({PEER}, lambda: connect("{A4}", source=("10.77.0.3", 0))))
print(child({BOB}, lambda: connect("{A4}", source=("{B4}", 0))))
print(child({BOB}, lambda: connect("127.0.0.1", 8081, source=("{A4}", 0))))
""")
    assert said == [str(ALICE), "ConnectionRefusedError at once", "ConnectionRefusedError at once"]


def test_a_service_of_the_machine_answers_a_customers_own_address(guarded: Namespace) -> None:
    said = guarded.play(f"""
servers = [serving(65534, "127.0.0.1")]
print(child({ALICE}, lambda: connect("127.0.0.1")))
print(child({ALICE}, lambda: connect("127.0.0.1", source=("{A4}", 0))))
print(child({BOB}, lambda: connect("127.0.0.1", source=("{A4}", 0))))
""")
    assert said == ["65534", "65534", "ConnectionRefusedError at once"]


def test_what_the_kernel_says_passes(guarded: Namespace) -> None:
    said = guarded.play(f"""
print(child({ALICE}, lambda: connect("{A4}", 9)))
print(child({ALICE}, lambda: datagram("{A4}", 9)))
print(child({FRONT}, lambda: connect("{A6}", 9)))
""")
    assert said == ["ConnectionRefusedError at once", "Connection refused", "ConnectionRefusedError at once"]


def test_refusals_are_counted_and_the_count_lives_on(guarded: Namespace) -> None:
    guarded.play(f'print(child({BOB}, lambda: connect("{A4}")))')
    guarded.nft("line.change(rules._replace(peers=frozenset([Grant(1, '10.77.0.9')])), rules)")
    counter = guarded.inside("nft", "list", "counter", "inet", "paas_isolate", "refused")
    assert "packets 1 " in counter
    assert guarded.nft("print([(it.uid, it.address) for it in line.look().rules.peers])") == "[(1, '10.77.0.9')]"


def test_an_owner_that_is_taken_out_is_shut_out_and_in_again(guarded: Namespace) -> None:
    guarded.nft("line.change(rules._replace(owners=frozenset(), peers=frozenset(), frontends=frozenset()), rules)")
    tries = f'for uid in ({ALICE}, {FRONT}): print(child(uid, lambda: connect("{A4}")))'
    play = f'servers = [serving({ALICE}, "{A4}")]\n{tries}'
    assert str(ALICE) not in guarded.play(play)
    guarded.nft("line.change(rules, line.look().rules)")
    assert guarded.play(play) == [str(ALICE)] * 2


SPOILT = [
    "flush ruleset",
    "flush chain inet paas_isolate input",
    "add rule inet paas_isolate output accept",
    "insert rule inet paas_isolate output accept",
    "delete table inet paas_isolate",
    "add chain inet paas_isolate more",
    "add chain inet paas_isolate output { policy drop ; }",
]


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_somebody_did_to_the_table_is_seen_and_mended(guarded: Namespace, spoilt: str) -> None:
    whole = "print(bool(line.look() and line.look().whole and line.look().rules == rules))"
    assert guarded.nft(whole) == "True"
    before = guarded.nft("print(nft.generation())")
    guarded.inside("nft", spoilt)
    assert guarded.nft("print(nft.generation())") != before
    assert guarded.nft(whole) == "False"
    guarded.nft("line.lay(rules)")
    assert guarded.nft(whole) == "True"


def test_other_tables_are_not_touched(space: Namespace) -> None:
    space.inside("nft", "add table inet other; add chain inet other c; add rule inet other c counter accept")
    before = space.inside("nft", "list", "ruleset")
    space.nft("line.lay(rules); line.change(Rules(), rules); line.lay(rules); line.remove()")
    assert space.inside("nft", "list", "ruleset") == before


def test_the_nft_command_does_where_the_library_is_missing(guarded: Namespace) -> None:
    guarded.nft(
        "nft.LIBRARY = 'nowhere.so'; assert line.look().whole; line.lay(rules); assert line.look() == (True, rules)"
    )
    said = guarded.nft("nft.LIBRARY = 'nowhere.so'\ntry: nft.run('nonsense')\nexcept nft.HostError as e: print(e)")
    assert "nft: " in said and "syntax error" in said


def test_a_customers_own_namespace_changes_nothing(guarded: Namespace) -> None:
    before = guarded.inside("nft", "list", "ruleset")
    words = ("setpriv", "--reuid", str(BOB), "--regid", str(BOB), "--clear-groups", "unshare", "-Urn")
    subprocess.run(["nsenter", f"--net=/run/netns/{guarded.name}", *words, "nft", "flush ruleset"], capture_output=True)
    assert guarded.inside("nft", "list", "ruleset") == before


class Neighbour(Namespace):
    """A machine of the LAN with a route to the pool."""


@pytest.fixture
def lan(guarded: Namespace) -> Iterator[Neighbour]:
    name = f"paas-lan-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        neighbour = Neighbour(name)
        guarded.inside("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth7", "netns", name)
        for machine, last in ((guarded, 1), (neighbour, 2)):
            machine.inside("ip", "address", "add", f"192.0.2.{last}/24", "dev", "eth7")
            machine.inside("ip", "address", "add", f"2001:db8::{last}/64", "dev", "eth7", "nodad")
            machine.inside("ip", "link", "set", "eth7", "up")
            machine.inside("ip", "link", "set", "lo", "up")
        neighbour.inside("ip", "route", "add", POOLS[0], "via", "192.0.2.1")
        neighbour.inside("ip", "-6", "route", "add", POOLS[1], "via", "2001:db8::1")
        yield neighbour
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.parametrize("address", [A4, A6])
def test_the_lan_is_outside(lan: Neighbour, guarded: Namespace, address: str) -> None:
    play = f'servers = [serving({ALICE}, "{address}")]\nprint(open("/dev/stdin").read())'
    with subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{guarded.name}", "/usr/bin/python3", "-c", f"{PRELUDE}\n{play}"],
        stdin=subprocess.PIPE,
    ) as server:
        try:
            assert lan.play(f'print(connect("{address}"))') == ["TimeoutError late"]
            guarded.nft("line.remove()")  # and then it is inside, or the first answer meant nothing
            assert lan.play(f'print(connect("{address}"))') == [str(ALICE)]
        finally:
            subprocess.run(["pkill", "-9", "-P", str(server.pid)], check=False)
            server.kill()


@pytest.mark.parametrize(("own", "machine"), [(A4, "192.0.2.1"), (A6, "2001:db8::1")])
def test_what_is_published_is_reached_by_the_machines_address(
    lan: Neighbour, guarded: Namespace, own: str, machine: str
) -> None:
    guarded.nft(f"line.change(rules._replace(published=frozenset([Published(8300, {own!r}, 8080)])), rules)")
    play = f'servers = [serving({ALICE}, "{own}")]\nprint(open("/dev/stdin").read())'
    with subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{guarded.name}", "/usr/bin/python3", "-c", f"{PRELUDE}\n{play}"],
        stdin=subprocess.PIPE,
    ) as server:
        try:
            assert lan.play(f'print(connect("{machine}", 8300)); print(connect("{own}"))') == [
                str(ALICE),
                "TimeoutError late",
            ]
            for uid in (BOB, ALICE, 0):
                asked = f'print(child({uid}, lambda: connect("{machine}", 8300)))'
                assert guarded.play(asked) == [str(ALICE)]
            other = f'print(child({BOB}, lambda: connect("{B6 if ":" in own else B4}", 8300)))'
            assert guarded.play(other) == ["ConnectionRefusedError at once"]  # an account's own port 8300 is its own
            guarded.nft(f"line.change(rules, rules._replace(published=frozenset([Published(8300, {own!r}, 8080)])))")
            assert lan.play(f'print(connect("{machine}", 8300))') == ["ConnectionRefusedError at once"]
        finally:
            subprocess.run(["pkill", "-9", "-P", str(server.pid)], check=False)
            server.kill()


def test_what_is_published_is_seen_again(guarded: Namespace) -> None:
    both = f"frozenset([Published(8300, {A4!r}, 8080), Published(8300, {A6!r}, 8080), Published(53, {B4!r}, 53)])"
    guarded.nft(f"line.change(rules._replace(published={both}), rules)")
    assert guarded.nft(f"it = line.look(); print(it.whole and it.rules == rules._replace(published={both}))") == "True"


@pytest.mark.parametrize(("own", "there", "seen"), [(A4, "192.0.2.2", "192.0.2.1"), (A6, "2001:db8::2", "2001:db8::1")])
def test_the_world_sees_the_machines_address(
    lan: Neighbour, guarded: Namespace, own: str, there: str, seen: str
) -> None:
    listen = f"""
server = socket.socket(family("{there}"), socket.SOCK_DGRAM); server.bind(("{there}", 5300)); server.settimeout(10)
print("ready", flush=True); print(server.recvfrom(9)[1][0])
"""
    command = ["nsenter", f"--net=/run/netns/{lan.name}", "/usr/bin/python3", "-c", PRELUDE + listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout and listener.stdout.readline() == "ready\n"
        guarded.play(f"""
def send():
    with socket.socket(family("{own}"), socket.SOCK_DGRAM) as it:
        it.bind(("{own}", 5353)); it.sendto(b"?", ("{there}", 5300))
child({ALICE}, send)
""")
        assert listener.stdout.read().strip() == seen
