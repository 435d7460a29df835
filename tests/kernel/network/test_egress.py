"""Egress rules in network namespaces of the test's own: which packets leave, as a machine of the LAN sees it."""

import errno
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.kernel.network_namespaces import A4, ALICE, BOB, PEER, POOLS, NetworkNamespace

pytestmark = pytest.mark.kernel
THERE, THERE6 = "192.0.2.2", "2001:db8::2"
REFUSED = "ConnectionRefusedError at once"


def listening(machine: NetworkNamespace, *places: tuple[str, int]) -> AbstractContextManager[None]:
    """Servers of TCP and UDP that say 0: root's, for ports below 1024."""
    return machine.serving(*(f"0, {at!r}, {kind}, {port}" for at, port in places for kind in ("1", "2")))


def told(*sentences: str) -> str:
    """The rules with this egress of alice's."""
    return f"rules._replace(egress=frozenset([EgressAssignment({ALICE}, {sentences!r})]))"


def reached(machine: NetworkNamespace, uid: int, places: Sequence[tuple[str, int]], how: str = "connect") -> list[str]:
    job = "lambda at, port: " + ("connect(at, port)" if how == "connect" else "datagram(at, port)")
    lines = [f"job = {job}", *(f"print(child({uid}, lambda: job({at!r}, {port})))" for at, port in places)]
    return machine.play("\n".join(lines))


PLACES = [(THERE, 25), (THERE, 443), (THERE6, 25), (THERE6, 443)]


@pytest.mark.parametrize(
    ("sentences", "passes"),
    [
        (("deny all",), ()),
        (("deny port 25",), (1, 3)),
        (("allow port 443", "deny all"), (1, 3)),
        (("allow port 400-450", "deny port 1-65535"), (1, 3)),
        (("allow 192.0.2.0/24", "deny all"), (0, 1)),
        (("allow 2001:db8::2 port 25", "deny all"), (2,)),
        (("deny 192.0.2.2 port 25",), (1, 2, 3)),
        (("allow dns", "deny private", "deny metadata"), (0, 1, 2, 3)),
    ],
)
def test_what_is_denied_does_not_leave(
    lan: NetworkNamespace, guarded: NetworkNamespace, sentences: tuple[str, ...], passes: tuple[int, ...]
) -> None:
    with listening(lan, *PLACES):
        assert reached(guarded, ALICE, PLACES) == ["0"] * 4
        guarded.nft(f"line.change({told(*sentences)}, rules)")
        for how in ("connect", "datagram"):
            answers = reached(guarded, ALICE, PLACES, how)
            assert tuple(i for i, answer in enumerate(answers) if answer == "0") == passes, answers
            assert how != "connect" or {answers[i] for i in range(4) if i not in passes} <= {REFUSED}
        assert reached(guarded, BOB, PLACES) == ["0"] * 4
        assert reached(guarded, 0, PLACES) == ["0"] * 4
        guarded.nft(f"line.change(rules, {told(*sentences)})")
        assert reached(guarded, ALICE, PLACES) == ["0"] * 4
    assert "egress_" not in guarded.inside("nft", "list", "table", "inet", "paas_isolate")


def test_the_private_networks_and_the_metadata_of_a_cloud(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    places = [("10.1.2.3", 80), ("172.31.2.3", 80), ("192.168.1.1", 80), ("169.254.169.254", 80), ("172.32.0.1", 80)]
    for address, _ in places:
        lan.inside("ip", "address", "add", f"{address}/32", "dev", "lo")
        guarded.inside("ip", "route", "add", address, "via", THERE)
    with listening(lan, *places):
        assert reached(guarded, ALICE, places) == ["0"] * 5
        guarded.nft(f"line.change({told('deny private', 'deny metadata')}, rules)")
        assert reached(guarded, ALICE, places) == [REFUSED] * 4 + ["0"]


def test_smtp_is_tcp_alone(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    with listening(lan, *PLACES):
        guarded.nft(f"line.change({told('deny smtp')}, rules)")
        assert reached(guarded, ALICE, PLACES) == [REFUSED, "0", REFUSED, "0"]
        assert reached(guarded, ALICE, PLACES, "datagram") == ["0"] * 4


def test_what_stays_on_the_machine_is_no_egress(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    guarded.nft(f"line.change({told('deny all')}, rules)")
    places = [(A4, 8080), ("127.0.0.1", 8081), ("192.0.2.1", 8082)]
    with listening(guarded, *places[1:]):
        answers = guarded.play(f"servers = [serving({ALICE}, {A4!r})]\nprint(child({ALICE}, lambda: connect({A4!r})))")
        assert answers == [str(ALICE)]
        assert reached(guarded, ALICE, places[1:]) == ["0"] * 2
    assert lan.name


def test_who_connects_from_outside_is_answered(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    published = "published=frozenset([Published(8300, '10.77.0.1', 8080)])"
    guarded.nft(f"line.change({told('deny all')}._replace({published}), rules)")
    with guarded.serving(f"{ALICE}, {A4!r}"):
        assert lan.play('print(connect("192.0.2.1", 8300))') == [str(ALICE)]


@pytest.mark.hostile
def test_a_datagram_from_outside_opens_no_way_out(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    guarded.nft(f"line.change({told('deny all')}, rules)")
    with guarded.serving(f"{ALICE}, '0.0.0.0', socket.SOCK_DGRAM, 9001", f"{BOB}, '0.0.0.0', socket.SOCK_DGRAM, 9002"):
        ask = "try: print(datagram('192.0.2.1', {}))\nexcept OSError: print('nothing')"
        assert lan.play(ask.format(9002)) == [str(BOB)]
        assert lan.play(ask.format(9001)) == ["nothing"]


def test_refusals_are_counted_by_uid_and_the_count_lives_on(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    assert lan.name
    guarded.nft(f"line.change({told('deny all')}, rules)")
    reached(guarded, ALICE, PLACES)
    reached(guarded, BOB, PLACES)
    assert guarded.nft("print(line.denied())") == f"{{{ALICE}: 4}}"
    guarded.nft(f"line.change({told('deny smtp')}, {told('deny all')})")
    reached(guarded, ALICE, PLACES)
    assert guarded.nft("print(line.denied())") == f"{{{ALICE}: 6}}"


def test_an_egress_is_seen_again_and_what_spoils_it_too(guarded: NetworkNamespace) -> None:
    long = ("allow dns", "allow 10.0.0.0/8 port 25", "deny all")
    sold = {ALICE: long, BOB: ("deny smtp",), PEER: ("deny smtp",)}
    both = f"rules._replace(egress=frozenset([EgressAssignment(*it) for it in {sold}.items()]))"
    look = f"found = line.observe(); print(found.whole, found.rules == {both})"
    guarded.nft(f"line.change({both}, rules)")
    assert guarded.nft(look) == "True True"
    guarded.nft(f"line.install({both})")
    assert guarded.nft(look) == "True True"
    listed = guarded.inside("nft", "list", "table", "inet", "paas_isolate").splitlines()
    chain = next(line.split()[1] for line in listed if "chain egress_" in line)
    spoilt = {
        f"delete element inet paas_isolate egress {{ {BOB} }}": "True False",
        f"insert rule inet paas_isolate {chain} return": "False False",
        f"add chain inet paas_isolate egress_{'0' * 16}": "False True",
    }
    for text, seen in spoilt.items():
        guarded.inside("nft", text)
        assert guarded.nft(look) == seen, text
        guarded.nft(f"line.install({both})")
    assert guarded.nft(look) == "True True"


SUBORDINATE = 100_500


def test_subordinate_uids_have_the_egress_of_their_account(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    ranges = f"rules._replace(subordinates=frozenset([(100_000, 165_535), ({ALICE}, {ALICE})]),"
    ranges += " range_egress=frozenset([RangeEgress(100_000, 165_535, ('deny port 25',))]))"
    with listening(lan, *PLACES):
        assert reached(guarded, SUBORDINATE, PLACES) == ["0"] * 4
        guarded.nft(f"line.change({ranges}, rules)")
        assert reached(guarded, SUBORDINATE, PLACES) == [REFUSED, "0", REFUSED, "0"]
        assert reached(guarded, 165_536, PLACES) == ["0"] * 4
        assert guarded.nft(f"found = line.observe(); print(found.whole, found.rules == {ranges})") == "True True"
        wider = ranges.replace("165_535", "231_071")
        guarded.nft(f"line.change({wider}, {ranges})")  # the same neighbour's range and the next as one
        assert reached(guarded, SUBORDINATE, PLACES) == [REFUSED, "0", REFUSED, "0"]
        assert reached(guarded, 165_536, PLACES) == [REFUSED, "0", REFUSED, "0"]
        assert guarded.nft(f"found = line.observe(); print(found.whole, found.rules == {wider})") == "True True"
        guarded.nft(f"line.change({ranges}, {wider})")
        assert reached(guarded, 165_536, PLACES) == ["0"] * 4
        guarded.nft(f"line.change(rules, {ranges})")
        assert reached(guarded, SUBORDINATE, PLACES) == ["0"] * 4
    assert guarded.nft("found = line.observe(); print(found.whole, found.rules == rules)") == "True True"


MAIL = [(THERE, 25), (THERE6, 587), (THERE, 465)]
FIVE = ("deny 192.0.2.2 port 587", "limit smtp 5/h")


def test_more_mail_than_the_limit_is_refused_at_once(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    """What the egress denies anyway takes nothing of the limit, which begins full and is each uid's own."""
    ten, denied = [MAIL[i % 3] for i in range(10)], [(THERE, 587)]
    guarded.nft(f"line.change({told(*FIVE)}, rules)")
    with listening(lan, *MAIL, *denied, (THERE, 443)):
        assert reached(guarded, ALICE, denied * 6) == [REFUSED] * 6
        assert reached(guarded, ALICE, ten) == ["0"] * 5 + [REFUSED] * 5
        assert reached(guarded, ALICE, [(THERE, 443)] * 6) == ["0"] * 6
        assert reached(guarded, ALICE, MAIL, "datagram") == ["0"] * 3
        assert reached(guarded, BOB, ten) == ["0"] * 10
        assert guarded.nft("print(line.mail_connections())") == f"{{{ALICE}: 5, {BOB}: 10}}"
        assert guarded.nft("print(line.denied())") == f"{{{ALICE}: 11}}"
        other = told("deny dns", FIVE[1])
        guarded.nft(f"line.change({other}, {told(*FIVE)})")
        assert reached(guarded, ALICE, ten[:2]) == [REFUSED] * 2  # the same limit, so its bucket is still empty
        guarded.nft(f"line.change({told('limit smtp 100/s')}, {other})")
        assert reached(guarded, ALICE, ten) == ["0"] * 10
        guarded.nft(f"line.change(rules, {told('limit smtp 100/s')})")
    assert "limit_" not in guarded.inside("nft", "list", "table", "inet", "paas_isolate")
    assert guarded.nft("found = line.observe(); print(found.whole, found.rules == rules)") == "True True"


def test_a_limit_fills_again(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    guarded.nft(f"line.change({told('limit smtp 1/s')}, rules)")
    with listening(lan, *MAIL):
        two = f"print(child({ALICE}, lambda: connect({THERE!r}, 25)))\n" * 2
        assert guarded.play(f"{two}time.sleep(1.2)\n{two}") == ["0", REFUSED] * 2


def test_a_syn_that_is_sent_again_counts_once(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    """The machine there drops the first two, so that the connection is made by the third, after 3 s."""
    lan.inside("nft", "add table inet lossy; add chain inet lossy in { type filter hook input priority 0; }")
    lan.inside("nft", "add rule inet lossy in tcp dport 25 tcp flags syn limit rate 1/day burst 2 packets drop")
    guarded.nft(f"line.change({told('limit smtp 1/d')}, rules)")
    late = f"""
def job():
    with socket.create_connection(({THERE!r}, 25), 9) as client: return client.recv(99).decode()
print(child({ALICE}, job))
"""
    with listening(lan, *MAIL):
        assert guarded.play(late) == ["0"]
        assert reached(guarded, ALICE, MAIL) == [REFUSED] * 3
    assert guarded.nft("print(line.mail_connections(), line.denied())") == f"{{{ALICE}: 1}} {{{ALICE}: 3}}"


def test_a_limit_is_seen_again_and_what_spoils_it_too(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    limited = told("allow dns", "deny private", "limit smtp 20/m")
    look = f"found = line.observe(); print(found.whole, found.rules == {limited})"
    guarded.nft(f"line.change({limited}, rules)")
    assert guarded.nft(look) == "True True"
    with listening(lan, *MAIL):
        assert reached(guarded, ALICE, MAIL) == ["0"] * 3
    assert guarded.nft(look) == "True True"  # with elements in its set
    guarded.nft(f"rendered = line.render({limited}); line.remove(); line.install_rendered(rendered)")
    assert guarded.nft(look) == "True True"
    for text in (
        "insert rule inet paas_isolate limit_20_m return",
        "flush chain inet paas_isolate limit_20_m",
        "add chain inet paas_isolate limit_7_h",
        "add set inet paas_isolate limit_7_h { type uid; }",
    ):
        guarded.inside("nft", text)
        assert guarded.nft(look).startswith("False"), text
        guarded.nft(f"line.install({limited})")
        assert guarded.nft(look) == "True True"


def test_mail_within_the_machine_is_not_counted(guarded: NetworkNamespace, lan: NetworkNamespace) -> None:
    guarded.nft(f"line.change({told('limit smtp 1/d')}, rules)")
    here = [("127.0.0.1", 25), ("192.0.2.1", 587)]
    with listening(guarded, *here):
        assert reached(guarded, ALICE, here * 3) == ["0"] * 6
    assert lan.name
    assert guarded.nft("print(line.mail_connections())") == "{}"


@pytest.mark.hostile
def test_a_new_connection_with_the_ports_of_the_last_counts(lan: NetworkNamespace, guarded: NetworkNamespace) -> None:
    guarded.nft(f"line.change({told('limit smtp 2/d')}, rules)")
    same = f"""
def job():
    said = []
    for _ in range(4):
        client = socket.socket(); client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("", 4000)); client.settimeout(2)
        try: client.connect(({THERE!r}, 25)); said.append(client.recv(99).decode())
        except OSError as error: said.append(type(error).__name__)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0"); client.close()
    return said
print(child({ALICE}, job))
"""
    with listening(lan, *MAIL):
        assert guarded.play(same) == ["['0', '0', 'ConnectionRefusedError', 'ConnectionRefusedError']"]
    assert guarded.nft("print(line.mail_connections(), line.denied())") == f"{{{ALICE}: 2}} {{{ALICE}: 2}}"


@pytest.mark.hostile
def test_who_listens_answers_no_other_machine_that_the_egress_denies(
    lan: NetworkNamespace, guarded: NetworkNamespace
) -> None:
    """The gate hears of a listener after its first packets may have come: a customer may try it a million times."""
    guarded.nft(f"line.change({told('deny all')}, rules)")
    servers = [f"{uid}, {at!r}, port={port}" for at in ("0.0.0.0", "::") for uid, port in ((ALICE, 9001), (BOB, 9002))]
    for pair, at in ((servers[:2], "192.0.2.1"), (servers[2:], "2001:db8::1")):
        with guarded.serving(*pair):
            assert lan.play(f"print(connect({at!r}, 9002))") == [str(BOB)]
            assert str(ALICE) not in lan.play(f"print(connect({at!r}, 9001))")[0]


@pytest.mark.hostile
def test_what_connected_while_the_ruleset_was_gone_ends_when_it_is_back(
    lan: NetworkNamespace, guarded: NetworkNamespace, tmp_path: Path
) -> None:
    """Only what the egress denies: a firewall that is loaded again should cost nobody else's connections."""
    limited = told("allow port 443", "deny all")
    guarded.nft(f"line.install({limited})")
    begin = f"""
from paas_isolate.linux.bpf.gate.gate import AttachPoints
from paas_isolate.linux.network.host import HostNetwork
import encodings.idna, os, socket
host = HostNetwork(Pools{POOLS}, {str(tmp_path)!r}, {str(tmp_path)!r}, AttachPoints("", "", ""), frozenset(), bool)
host.polled = lambda: None
ready = host.prepare({limited})
line.remove()
os.seteuid({ALICE})
denied, allowed = (socket.create_connection(({THERE!r}, port), 2) for port in (8080, 443))
os.seteuid(0)
host.install_prepared(ready)
print([each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for each in (denied, allowed)])
"""
    with listening(lan, (THERE, 8080), (THERE, 443)):
        assert guarded.nft(begin) == f"[{errno.ECONNABORTED}, 0]"
