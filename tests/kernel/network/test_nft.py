"""The nftables rules in network namespaces of the test's own: who can serve, who can connect, what the LAN sees."""

import subprocess

import pytest

from tests.support.kernel.network_namespaces import A4, A6, ALICE, B4, B6, BOB, FRONT, PEER, PRELUDE, NetworkNamespace

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("address", [A4, A6])
def test_only_owner_peers_front_ends_and_root_connect(guarded: NetworkNamespace, address: str) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{address}")]
for uid in ({ALICE}, {PEER}, {FRONT}, 0, {BOB}, 65534): print(child(uid, lambda: connect("{address}")))
""")
    assert said == [str(ALICE)] * 4 + ["ConnectionRefusedError at once"] * 2


@pytest.mark.parametrize("address", [A4, A6])
def test_datagrams_pass_to_the_same_and_no_others(guarded: NetworkNamespace, address: str) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{address}", socket.SOCK_DGRAM)]
for uid in ({ALICE}, {PEER}, {FRONT}, 0, {BOB}): print(child(uid, lambda: datagram("{address}")))
""")
    assert said[:4] == [str(ALICE)] * 4
    assert said[4] != str(ALICE)


def test_without_the_table_everybody_connects(space: NetworkNamespace) -> None:
    """So that the tests above cannot pass for another reason."""
    said = space.play(f"""
servers = [serving({ALICE}, "{A4}")]
print(child({BOB}, lambda: connect("{A4}")))
""")
    assert said == [str(ALICE)]


@pytest.mark.parametrize("client", [0, FRONT, ALICE, PEER])
@pytest.mark.parametrize("squatter", [BOB, PEER])
def test_a_squatter_is_never_reached(guarded: NetworkNamespace, client: int, squatter: int) -> None:
    said = guarded.play(f"""
servers = [serving({squatter}, "{A4}"), serving({squatter}, "{A4}", socket.SOCK_DGRAM)]
print(child({client}, lambda: connect("{A4}")))
print(child({client}, lambda: datagram("{A4}")))
""")
    assert str(squatter) not in said


def test_a_peer_from_its_own_address_gets_its_answer(guarded: NetworkNamespace) -> None:
    said = guarded.play(f"""
servers = [serving({ALICE}, "{A4}")]
print(child({PEER}, lambda: connect("{A4}", source=("10.77.0.3", 0))))
print(child({BOB}, lambda: connect("{A4}", source=("{B4}", 0))))
print(child({BOB}, lambda: connect("127.0.0.1", 8081, source=("{A4}", 0))))
""")
    assert said == [str(ALICE), "ConnectionRefusedError at once", "ConnectionRefusedError at once"]


def test_a_service_of_the_machine_answers_a_customers_own_address(guarded: NetworkNamespace) -> None:
    said = guarded.play(f"""
servers = [serving(65534, "127.0.0.1")]
print(child({ALICE}, lambda: connect("127.0.0.1")))
print(child({ALICE}, lambda: connect("127.0.0.1", source=("{A4}", 0))))
print(child({BOB}, lambda: connect("127.0.0.1", source=("{A4}", 0))))
""")
    assert said == ["65534", "65534", "ConnectionRefusedError at once"]


def test_what_the_kernel_says_passes(guarded: NetworkNamespace) -> None:
    said = guarded.play(f"""
print(child({ALICE}, lambda: connect("{A4}", 9)))
print(child({ALICE}, lambda: datagram("{A4}", 9)))
print(child({FRONT}, lambda: connect("{A6}", 9)))
""")
    assert said == ["ConnectionRefusedError at once", "Connection refused", "ConnectionRefusedError at once"]


PING = """
def ping(address, raw=False):
    six = ':' in address
    kind = socket.SOCK_RAW if raw else socket.SOCK_DGRAM
    with socket.socket(family(address), kind, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as client:
        client.settimeout(1)
        ident = os.getpid() & 0xffff
        head = lambda total: bytes([128 if six else 8, 0]) + total.to_bytes(2) + ident.to_bytes(2) + bytes(2)
        words = head(0)
        total = sum(int.from_bytes(words[i:i + 2]) for i in (0, 4))
        client.sendto(head(~((total & 0xffff) + (total >> 16)) & 0xffff), (address, 0))
        while True:
            answer = client.recv(999)
            answer = answer[20:] if raw and not six else answer
            if answer[0] in (0, 129): return 'answered'
def raw_syn(address):
    with socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_TCP) as client:
        client.sendto(bytes([31, 144, 31, 144]) + bytes(8) + bytes([80, 2, 255, 255]) + bytes(4), (address, 0))
        return 'sent'
def with_raw(uid, job):
    # CAP_NET_RAW beside a customer's uid, as a program with file capabilities has it
    import ctypes
    libc = ctypes.CDLL(None)
    def armed():
        header = (ctypes.c_uint32 * 2)(0x20080522, 0); data = (ctypes.c_uint32 * 6)(1 << 13, 1 << 13, 0)
        assert libc.capset(header, data) == 0
        return job()
    libc.prctl(8, 1)  # PR_SET_KEEPCAPS
    return child(uid, armed)
"""


@pytest.mark.parametrize(("own", "anothers"), [(A4, B4), (A6, B6)])
def test_pings_and_raw_packets_pass_to_the_same_and_no_others(
    guarded: NetworkNamespace, own: str, anothers: str
) -> None:
    guarded.inside("sysctl", "-qw", "net.ipv4.ping_group_range=0 65535")
    lines = guarded.play(
        PING
        + f"""
for address in ({own!r}, {anothers!r}):
    print(child({ALICE}, lambda: ping(address)))
    print(with_raw({ALICE}, lambda: ping(address, raw=True)))
    print(with_raw({ALICE}, lambda: raw_syn(address)))
    print(child({FRONT}, lambda: ping(address)))
    print(child(0, lambda: ping(address)))
"""
    )
    passes = ["answered", "answered", "sent", "answered", "answered"]
    assert lines[:5] == passes
    refused = "Operation not permitted"
    no_answer = "" if ":" in own else refused  # a ping socket of IPv6 is not told what netfilter did
    assert lines[5:] == [no_answer, refused, refused, *passes[3:]]


def test_the_path_mtu_is_told_through_what_is_published(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    """A router behind the LAN has a narrow link, which neither end knows of."""
    far = NetworkNamespace(f"{lan.name}-far")
    subprocess.run(["ip", "netns", "add", far.name], check=True)
    try:
        lan.inside(
            "ip", "link", "add", "eth8", "mtu", "1300", "type", "veth", "peer", "name", "eth9", "netns", far.name
        )
        for space, words in (
            (lan, "link set eth8 up"),
            (lan, "address add 198.51.100.1/24 dev eth8"),
            (far, "link set eth9 mtu 1500 up"),
            (far, "address add 198.51.100.2/24 dev eth9"),
            (far, "route add default via 198.51.100.1"),
            (guarded, "route add 198.51.100.0/24 via 192.0.2.2"),
        ):
            space.inside("ip", *words.split())
        lan.inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        guarded.nft(f"line.change(rules._replace(published=frozenset([Published(8300, {A4!r}, 8080)])), rules)")
        much = 300_000
        serve = f"""
def much():
    with socket.create_server(({A4!r}, 8080)) as server:
        os.write(1, b"ready\\n")
        server.accept()[0].sendall(bytes({much}))
        return ''
child({ALICE}, much)
"""
        command = ["nsenter", f"--net=/run/netns/{guarded.name}", "/usr/bin/python3", "-c", f"{PRELUDE}\n{serve}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout and server.stdout.readline() == b"ready\n"
                got = far.play("""
with socket.create_connection(("192.0.2.1", 8300), 5) as client:
    print(sum(len(data) for data in iter(lambda: client.recv(65536), b"")))
""")
                assert got == [str(much)]
            finally:
                subprocess.run(["pkill", "-9", "-P", str(server.pid)], check=False)
                server.kill()
        assert "mtu 1300" in guarded.inside("ip", "route", "get", "198.51.100.2")
    finally:
        subprocess.run(["ip", "netns", "delete", far.name], check=True)


def test_refusals_are_counted_and_the_count_lives_on(guarded: NetworkNamespace) -> None:
    guarded.play(f'print(child({BOB}, lambda: connect("{A4}")))')
    guarded.nft("line.change(rules._replace(peers=frozenset([Grant(1, '10.77.0.9')])), rules)")
    counter = guarded.inside("nft", "list", "counter", "inet", "paas_isolate", "refused")
    assert "packets 1 " in counter
    assert (
        guarded.nft("print([(peer.uid, peer.address) for peer in line.observe().rules.peers])") == "[(1, '10.77.0.9')]"
    )


def test_an_owner_that_is_taken_out_is_shut_out_and_in_again(guarded: NetworkNamespace) -> None:
    guarded.nft("line.change(rules._replace(owners=frozenset(), peers=frozenset(), frontends=frozenset()), rules)")
    tries = f'for uid in ({ALICE}, {FRONT}): print(child(uid, lambda: connect("{A4}")))'
    play = f'servers = [serving({ALICE}, "{A4}")]\n{tries}'
    assert str(ALICE) not in guarded.play(play)
    guarded.nft("line.change(rules, line.observe().rules)")
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
def test_what_somebody_did_to_the_table_is_seen_and_mended(guarded: NetworkNamespace, spoilt: str) -> None:
    whole = "print(bool(line.observe() and line.observe().whole and line.observe().rules == rules))"
    assert guarded.nft(whole) == "True"
    before = guarded.nft("print(nfnetlink.generation())")
    guarded.inside("nft", spoilt)
    assert guarded.nft("print(nfnetlink.generation())") != before
    assert guarded.nft(whole) == "False"
    guarded.nft("line.install(rules)")
    assert guarded.nft(whole) == "True"


HEARD = """
import subprocess
from paas_isolate.linux.events.netlink import NetlinkSource
def heard(): return [event.who.rpartition(' ')[2] for event in source.read()]
def flush(): subprocess.run(['nft', 'flush', 'ruleset'], check=True)
source = NetlinkSource()
many = Rules(frozenset(Grant(100000 + it, f'10.77.{it // 250}.{it % 250 + 1}') for it in range(30000)))
"""


def test_our_own_transactions_are_no_news_and_those_of_others_are(space: NetworkNamespace) -> None:
    """Of 30,000 elements the kernel tells more than fits into the socket."""
    said = space.nft(f"""{HEARD}
before = nfnetlink.generation()
line.install(many)
print(nfnetlink.remember(before, 2), heard())
flush()
print(heard())
before = nfnetlink.generation()
subprocess.run(['nft', 'add', 'table', 'inet', 'other'], check=True)
line.install(many)
print(nfnetlink.remember(before, 2), len(heard()) > 0)
""")
    assert said.splitlines() == ["True []", "['(nft)']", "False True"]


def test_what_was_prepared_is_laid_as_it_was(space: NetworkNamespace) -> None:
    said = space.nft(f"""{HEARD}
line.install(many)
ready = line.render(many)
flush()
print(nfnetlink.has_table(nft.TABLE), line.observe())
before = nfnetlink.generation()
line.install_rendered(ready)
print(nfnetlink.has_table(nft.TABLE), line.observe() == (True, many), nfnetlink.remember(before, 1))
""")
    assert said.splitlines() == ["False None", "True True True"]


def test_other_tables_are_not_touched(space: NetworkNamespace) -> None:
    space.inside("nft", "add table inet other; add chain inet other c; add rule inet other c counter accept")
    before = space.inside("nft", "list", "ruleset")
    space.nft("line.install(rules); line.change(Rules(), rules); line.install(rules); line.remove()")
    assert space.inside("nft", "list", "ruleset") == before


def test_the_nft_command_does_where_the_library_is_missing(guarded: NetworkNamespace) -> None:
    guarded.nft(
        "nft.LIBRARY = 'nowhere.so'; assert line.observe().whole; line.install(rules); "
        "assert line.observe() == (True, rules)"
    )
    said = guarded.nft("nft.LIBRARY = 'nowhere.so'\ntry: nft.run('nonsense')\nexcept nft.HostError as e: print(e)")
    assert "nft: " in said and "syntax error" in said


def test_a_customers_own_namespace_changes_nothing(guarded: NetworkNamespace) -> None:
    before = guarded.inside("nft", "list", "ruleset")
    words = ("setpriv", "--reuid", str(BOB), "--regid", str(BOB), "--clear-groups", "unshare", "-Urn")
    subprocess.run(["nsenter", f"--net=/run/netns/{guarded.name}", *words, "nft", "flush ruleset"], capture_output=True)
    assert guarded.inside("nft", "list", "ruleset") == before


@pytest.mark.parametrize("address", [A4, A6])
def test_the_lan_is_outside(lan: NetworkNamespace, guarded: NetworkNamespace, address: str) -> None:
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
    lan: NetworkNamespace, guarded: NetworkNamespace, own: str, machine: str
) -> None:
    guarded.nft(f"line.change(rules._replace(published=frozenset([Published(8300, {own!r}, 8080)])), rules)")
    with guarded.serving(f"{ALICE}, {own!r}"):
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


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("kind", "port"), [("SOCK_STREAM", 8300), ("SOCK_DGRAM", 8300), ("SOCK_STREAM", 40001)], ids=str
)
@pytest.mark.parametrize(
    ("own", "machine", "wildcards"),
    [(A4, "192.0.2.1", ("0.0.0.0", "::", "192.0.2.1")), (A6, "2001:db8::1", ("::", "2001:db8::1"))],
)
def test_a_published_port_leads_nowhere_while_the_machine_listens_there(
    lan: NetworkNamespace,
    guarded: NetworkNamespace,
    own: str,
    machine: str,
    wildcards: tuple[str, ...],
    kind: str,
    port: int,
) -> None:
    """Nobody has looked between the restart of the machine's own service and the stranger who asks for it. 40001 is one
    of the kernel's ephemeral ports."""
    guarded.nft(f"line.change(rules._replace(published=frozenset([Published({port}, {own!r}, 8080)])), rules)")
    ask = "connect" if kind == "SOCK_STREAM" else "datagram"
    asked = f'print({ask}("{machine}", {port}))'
    with guarded.serving(f"{ALICE}, {own!r}, socket.{kind}"):
        assert lan.play(asked) == [str(ALICE)]
        for address in wildcards:
            with guarded.serving(f"0, {address!r}, socket.{kind}, {port}"):
                assert lan.play(asked) == ["0"], address
        for address in ("::1" if ":" in own else "127.0.0.1", B6 if ":" in own else B4):
            with guarded.serving(f"{BOB}, {address!r}, socket.{kind}, {port}"):
                assert lan.play(asked) == [str(ALICE)], address


@pytest.mark.hostile
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_nobody_comes_to_what_is_published_as_if_from_its_own_localhost(guarded: NetworkNamespace, kind: str) -> None:
    guarded.nft(f"line.change(rules._replace(published=frozenset([Published(8300, {A4!r}, 8080)])), rules)")
    guarded.inside("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    program = f"""
servers = [serving({ALICE}, {A4!r}, socket.{kind})]
def ask(source, at):
    with socket.socket(socket.AF_INET, socket.{kind}) as client:
        client.settimeout(1); client.bind((source, 0)); client.connect(at)
        if {kind!r} == "SOCK_DGRAM": client.send(b'?')
        return client.recv(99).decode()
for uid, source, at in (
    ({BOB}, "192.0.2.1", ("192.0.2.1", 8300)), ({BOB}, "127.0.0.1", ("192.0.2.1", 8300)),
    ({PEER}, "127.0.0.1", ({A4!r}, 8080)), ({ALICE}, "127.0.0.1", ({A4!r}, 8080)),
): print(child(uid, lambda: ask(source, at)))
"""
    came, *refused, own = guarded.play(program)
    assert (came, own) == (str(ALICE), str(ALICE))
    assert not set(refused) & {str(ALICE)}, refused


@pytest.mark.hostile
def test_a_customer_who_has_an_ephemeral_port_takes_none_that_is_published(
    lan: NetworkNamespace, guarded: NetworkNamespace
) -> None:
    """By UDP, a socket gets a port by sending; by TCP, the gate hides the listener (tests/kernel/bpf)."""
    guarded.inside("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001")
    guarded.nft("assert not line.observe().whole; line.install(rules); assert line.observe().whole")
    guarded.nft(f"line.change(rules._replace(published=frozenset([Published(40001, {A4!r}, 8080)])), rules)")
    with guarded.serving(f"{ALICE}, {A4!r}, socket.SOCK_DGRAM", f"{BOB}, '0.0.0.0', socket.SOCK_DGRAM, 40001"):
        assert lan.play('print(datagram("192.0.2.1", 40001))') == [str(ALICE)]


def test_what_is_published_is_seen_again(guarded: NetworkNamespace) -> None:
    both = f"frozenset([Published(8300, {A4!r}, 8080), Published(8300, {A6!r}, 8080), Published(53, {B4!r}, 53)])"
    guarded.nft(f"line.change(rules._replace(published={both}), rules)")
    assert (
        guarded.nft(f"found = line.observe(); print(found.whole and found.rules == rules._replace(published={both}))")
        == "True"
    )


@pytest.mark.parametrize("kind", ["SOCK_DGRAM", "SOCK_STREAM"])
@pytest.mark.parametrize(("own", "there", "seen"), [(A4, "192.0.2.2", "192.0.2.1"), (A6, "2001:db8::2", "2001:db8::1")])
def test_the_world_sees_the_machines_address(
    lan: NetworkNamespace, guarded: NetworkNamespace, own: str, there: str, seen: str, kind: str
) -> None:
    listen = f"""
server = socket.socket(family("{there}"), socket.{kind}); server.bind(("{there}", 5300)); server.settimeout(10)
if server.type == socket.SOCK_STREAM: server.listen()
print("ready", flush=True)
print((server.recvfrom(9) if server.type == socket.SOCK_DGRAM else server.accept())[1][0])
"""
    command = ["nsenter", f"--net=/run/netns/{lan.name}", "/usr/bin/python3", "-c", PRELUDE + listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout and listener.stdout.readline() == "ready\n"
        guarded.play(f"""
def send():
    with socket.socket(family("{own}"), socket.{kind}) as client:
        client.bind(("{own}", 5353)); client.connect(("{there}", 5300)); client.send(b"?")
child({ALICE}, send)
""")
        assert listener.stdout.read().strip() == seen


def test_what_is_left_of_a_connection_passes_when_its_owner_has_died(guarded: NetworkNamespace) -> None:
    """The kernel ends it without a socket that anybody owns."""
    assert guarded.play(f"""
def dies():
    with socket.create_server(({A4!r}, 8080)) as server:
        os.write(1, b"ready\\n")
        peer, _ = server.accept()
        peer.sendall(bytes(400000))
        os.kill(os.getpid(), 9)
here, there = os.pipe()
if (pid := os.fork()) == 0:
    os.dup2(there, 1); become({ALICE}); dies()
os.read(here, 9)
with socket.create_connection(({A4!r}, 8080), 5) as client:
    begin = time.monotonic(); time.sleep(0.3)
    try: got = sum(len(some) for some in iter(lambda: client.recv(65536), b""))
    except ConnectionResetError: got = 400000
    print(got, time.monotonic() - begin < 2)
""") == ["400000 True"]


def test_a_peer_sends_from_no_address_of_a_third(guarded: NetworkNamespace) -> None:
    """By UDP without the gate, which root may bind to any address and hand on."""
    program = f"""
servers = [serving({ALICE}, {A4!r}, socket.SOCK_DGRAM)]
def ask(source):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); client.settimeout(1)
    if source: client.bind((source, 0))
    client.sendto(b'?', ({A4!r}, 8080)); return client.recv(99).decode()
for source in ("", "10.77.0.3", {B4!r}): print(child({PEER}, lambda: ask(source)))
"""
    assert guarded.play(program) == [str(ALICE), str(ALICE), "Operation not permitted"]
