"""Addresses of accounts in a network namespace of the test's own, set by the command itself."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas_isolate.linux.network.links import NONLOCAL_BIND
from paas_isolate.model.network import SOURCE6
from tests.support.kernel.host import ALICE, BOB, CAROL, many
from tests.support.kernel.network_host import NetworkHost
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
ALICES = ("10.77.0.1", "fd77:7061:6173::1")
POOLS = ("10.77.0.0/16", "fd77:7061:6173::/64")
BOBS = ("10.77.0.2", "fd77:7061:6173::2")
ADD = (
    "import sys; from paas_isolate.linux.network import links, netlink;"
    "from paas_isolate.linux.network.netlink_socket import NetlinkSocket; at = sys.argv[1];"
    "message = netlink.Message(20, netlink.CREATE, links._address(at, 1)) if ':' in at else"
    " netlink.Message(24, netlink.CREATE, links._route(at, 1)); print(NetlinkSocket().ask([message]))"
)
"""What version 0.1 did for an account."""
SERVE = (
    "import os, socket, sys; os.setresuid(*[int(sys.argv[2])] * 3); at = (sys.argv[1], 8080);"
    "server = socket.create_server(at, family=socket.AF_INET6 if ':' in at[0] else socket.AF_INET);"
    "client = socket.create_connection(at); client.sendall(b'hello'); peer, _ = server.accept(); print(peer.recv(5))"
)


def test_every_account_has_addresses_and_can_be_reached_there(wired: NetworkHost) -> None:
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert f"make the pool {POOLS[0]} local" in done.stdout
    assert wired.local() == {*POOLS}
    for address in ALICES:
        assert "hello" in wired.inside("/usr/bin/python3", "-c", SERVE, address, str(ALICE)).stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


@pytest.mark.parametrize(
    "words",
    [
        ("ip", "route", "del", "local", POOLS[0], "table", "local"),
        ("ip", "-6", "route", "del", "local", POOLS[1], "table", "local"),
        ("ip", "address", "del", f"{SOURCE6}/128", "dev", "lo"),
        ("sh", "-c", f"echo 0 >{NONLOCAL_BIND}"),
    ],
    ids=["the IPv4 route", "the IPv6 route", "the source", "the sysctl"],
)
def test_what_was_removed_by_hand_comes_back(wired: NetworkHost, words: tuple[str, ...]) -> None:
    wired.run("reconcile")
    assert wired.inside(*words).returncode == 0
    assert wired.run("diff", "--exit-code").returncode == 3
    assert "FAILED  addresses" in wired.run("doctor").stdout
    assert "1 change made" in wired.run("reconcile").stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    for address in ALICES:
        assert "hello" in wired.inside("/usr/bin/python3", "-c", SERVE, address, str(ALICE)).stdout


def test_addresses_of_version_0_1_are_replaced_by_the_pools(wired: NetworkHost) -> None:
    for address in ALICES:
        wired.inside(sys.executable, "-c", ADD, address)
    done = wired.run("reconcile")
    assert f"remove the address {ALICES[0]}" in done.stdout
    assert f"remove the address {ALICES[1]}" in done.stdout
    assert done.stdout.index(f"make the pool {POOLS[1]}") < done.stdout.index("remove the address")
    assert wired.local() == {*POOLS}
    assert ALICES[1] not in wired.inside("ip", "address").stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_nobody_uses_an_address_that_no_account_has(wired: NetworkHost) -> None:
    """It is local as all of the pool is: the gate lets no customer bind it, and the ruleset nobody but front ends
    and root reach it."""
    wired.run("reconcile")
    for address in ("10.77.4.4", "fd77:7061:6173::404"):
        assert "PermissionError" in bound(wired, address, ALICE)
        assert bound(wired, address, 0) == address
        assert [refused(wired, address, uid) for uid in (ALICE, BOB, 0, 65534)] == [True, True, False, True]
    wired.inside("rm", "-r", PINS)  # without the gate the ruleset alone refuses
    for address in ("10.77.4.4", "fd77:7061:6173::404", ALICES[0], ALICES[1]):
        done = wired.inside("/usr/bin/python3", "-c", SERVE, address, str(BOB))
        assert "hello" not in done.stdout
        assert "refused" in done.stderr


PEER = (
    "import os, socket, sys; at = (sys.argv[1], 8080); kind = socket.SOCK_STREAM if sys.argv[2] == 'tcp' else"
    " socket.SOCK_DGRAM; server = socket.socket(socket.AF_INET6, kind);\n"
    "def become(uid, leaf):\n"
    "    open(leaf + '/cgroup.procs', 'w').write('0'); os.setresuid(uid, uid, uid)\n"
    "here, there = os.pipe()\n"
    "if os.fork() == 0:\n"
    "    become(int(sys.argv[3]), sys.argv[4]); server.bind(at)\n"
    "    kind == socket.SOCK_STREAM and server.listen(); os.write(there, b'.')\n"
    "    if kind == socket.SOCK_STREAM:\n"
    "        peer, whence = server.accept(); peer.sendall(whence[0].encode())\n"
    "    else:\n"
    "        _, whence = server.recvfrom(9); server.sendto(whence[0].encode(), whence)\n"
    "    os._exit(0)\n"
    "os.read(here, 1); become(int(sys.argv[5]), sys.argv[6]); client = socket.socket(socket.AF_INET6, kind)\n"
    "client.settimeout(5); bound = sys.argv[7] == 'bound' and client.bind(('::', 0))\n"
    "client.connect(at); client.send(b'x'); print(client.recv(99).decode())\n"
)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("client", ["bound", "unbound"])
def test_a_peer_and_a_front_end_do_not_come_from_localhost(wired: NetworkHost, kind: str, client: str) -> None:
    """And are answered: the reply to SOURCE6 passes gate and ruleset."""
    wired.host.account("alice", "peers: [bob]\n")
    wired.run("reconcile")
    users = f"{wired.host.cgroups.root}/users"
    for uid in (BOB, 0):
        words = (ALICES[1], kind, str(ALICE), f"{users}/alice/login", str(uid), f"{users}/bob/login", client)
        done = wired.inside("/usr/bin/python3", "-c", PEER, *words)
        assert done.stdout.strip() == SOURCE6, done.stderr


def test_an_account_that_comes_or_goes_changes_no_address(wired: NetworkHost) -> None:
    wired.run("reconcile")
    (wired.host.etc / "accounts.d" / "bob.yaml").unlink()
    wired.host.account("carol", "address: 10.77.4.4\n")
    done = wired.run("reconcile")
    assert "address" not in done.stdout.replace(" addresses", "")
    assert wired.local() == {*POOLS}
    assert [refused(wired, "10.77.4.4", uid) for uid in (ALICE, CAROL)] == [True, False]


def test_other_pools_replace_the_old_ones(wired: NetworkHost) -> None:
    wired.run("reconcile")
    config = wired.host.etc / "config.yaml"
    config.write_text(config.read_text().replace("{}", "{pool: 10.78.0.0/16, pool6: 'fd78::/64'}"))
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index(f"remove the pool {POOLS[0]}") < done.stdout.index("make the pool 10.78.0.0/16 local")
    assert wired.local() == {"10.78.0.0/16", "fd78::/64"}
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    for address in ("10.78.0.1", "fd78::1"):
        assert "hello" in wired.inside("/usr/bin/python3", "-c", SERVE, address, str(ALICE)).stdout


def test_a_pool_into_which_a_route_leads_is_refused_and_the_rest_is_made(wired: NetworkHost) -> None:
    wired.inside("ip", "link", "add", "lan", "type", "veth", "peer", "name", "wire")
    wired.inside("ip", "link", "set", "lan", "up")
    wired.inside("ip", "route", "add", "10.77.7.0/24", "dev", "lan")
    done = wired.run("reconcile")
    assert done.returncode == 1
    assert "this machine has a route to 10.77.7.0/24: choose another pool" in done.stderr
    assert wired.local() == {POOLS[1]}
    assert "hello" in wired.inside("/usr/bin/python3", "-c", SERVE, ALICES[1], str(ALICE)).stdout


TRY = "import os, socket, sys; os.setresuid(*[int(sys.argv[2])] * 3); socket.create_connection((sys.argv[1], 9), 3)"
CLOSED = "Connection refused"
COUNTER = ("nft", "list", "counter", "inet", "paas_isolate", "refused")


def refused(wired: NetworkHost, address: str, uid: int) -> bool:
    """Whether our rules refuse a uid there (a port where nobody listens refuses as well, and is not counted)."""
    before = wired.inside(*COUNTER).stdout
    assert CLOSED in wired.inside("/usr/bin/python3", "-c", TRY, address, str(uid)).stderr
    return wired.inside(*COUNTER).stdout != before


def test_only_permitted_uids_connect(wired: NetworkHost) -> None:
    wired.host.account("alice", "peers: [carol]\n")
    wired.host.account("carol")
    assert wired.run("reconcile").returncode == 0
    everybody = (ALICE, BOB, CAROL, 0, 65534)
    assert [refused(wired, ALICES[0], uid) for uid in everybody] == [False, True, False, False, True]
    assert [refused(wired, BOBS[1], uid) for uid in everybody] == [True, False, True, False, True]


def test_many_uids_are_written_without_a_look_at_who_has_them(wired: NetworkHost) -> None:
    """A user who is called as another's number is not taken for that one: nobody is asked for by name."""
    many(wired.host, 100)
    passwd = wired.host.place / "passwd"
    uids = {wired.host.first + 3 + n for n in range(100)}
    passwd.write_text(passwd.read_text() + "".join(f"{uid}:x:1:1::/:/bin/sh\n" for uid in uids))
    for _ in range(2):
        assert wired.run("reconcile").returncode == 0
        listed = wired.inside("nft", "--json", "list", "set", "inet", "paas_isolate", "owners4").stdout
        (owners,) = (entry["set"]["elem"] for entry in json.loads(listed)["nftables"] if "set" in entry)
        assert uids < {owner["concat"][0] for owner in owners}
        assert wired.run("reconcile").stdout.strip() == "nothing to do"
        wired.inside("nft", "flush", "ruleset")


@pytest.mark.parametrize("spoilt", ["ruleset", "chain inet paas_isolate output", "set inet paas_isolate owners4"])
def test_a_ruleset_that_somebody_spoils_is_put_back(wired: NetworkHost, spoilt: str) -> None:
    wired.run("reconcile")
    assert wired.inside("nft", f"flush {spoilt}").returncode == 0
    assert "the ruleset of the network" in wired.run("diff").stdout
    assert "1 change made" in wired.run("reconcile").stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert refused(wired, ALICES[0], BOB)
    assert not refused(wired, ALICES[0], ALICE)


def test_the_daemon_puts_back_what_somebody_takes_away(wired: NetworkHost, tmp_path: Path) -> None:
    wired.host.account("alice", "services: {web: {publish: 8300, limits: {memory: {kill: process}}}}\n")
    assert wired.run("reconcile").returncode == 0
    whole = wired.rules()
    away = ("ip", "route", "del", "local", POOLS[0], "table", "local")
    away6 = ("ip", "-6", "route", "del", "local", POOLS[1], "table", "local")
    wired.inside(*away)
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen(wired.command(*wired.host.command("daemon")), stdout=log, stderr=log)
    try:
        wait_for(lambda: wired.local() == {*POOLS}, what="it has looked at everything")
        for words in (
            ("nft", "flush", "ruleset"),
            ("nft", "flush", "chain", "inet", "paas_isolate", "output"),
            away,
            away6,
        ):
            assert wired.inside(*words).returncode == 0
            wait_for(lambda: wired.rules() == whole and wired.local() == {*POOLS}, what=" ".join(words))
        told = (tmp_path / "log").read_text()
        assert len(re.findall(r"the ruleset of the network, .*; changed by pid \d+ \(nft\)", told)) == 2, told
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0


def test_one_account_more_is_a_change_by_element_and_lists_nothing(wired: NetworkHost) -> None:
    wired.run("reconcile")
    assert refused(wired, ALICES[0], BOB)
    counted = wired.inside(*COUNTER).stdout
    wired.host.account("carol")
    done = wired.inside("strace", "-f", "-e", "trace=sendto,sendmsg", *wired.host.command("reconcile"))
    assert (
        f"change the ruleset of the network: add '{CAROL} at 10.77.0.3', '{CAROL} at fd77:7061:6173::3'" in done.stdout
    )
    assert "NFT_MSG_NEWSETELEM" in done.stderr
    listed = [line for line in done.stderr.splitlines() if "NFT_MSG_GETSETELEM" in line]
    assert all(
        r"\x73\x75\x62\x6f" in line or r"\x72\x61\x6e\x67" in line for line in listed
    )  # sets of ranges: subo…, rang…
    assert wired.inside(*COUNTER).stdout == counted


def test_doctor_tells_what_is_missing(wired: NetworkHost) -> None:
    assert "FAILED  addresses" in wired.run("doctor").stdout
    wired.run("reconcile")
    well = wired.run("doctor").stdout
    assert "OK      addresses" in well
    assert "OK      ruleset" in well
    wired.inside("nft", "flush", "ruleset")
    assert "it is gone" in wired.run("doctor").stdout
    wired.run("reconcile")
    wired.inside("nft", "flush chain inet paas_isolate output")
    assert "somebody has changed it" in wired.run("doctor").stdout


def test_what_another_program_does_to_its_own_table_is_left(wired: NetworkHost) -> None:
    wired.run("reconcile")
    wired.inside("nft", "add table inet other")
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert "table inet other" in wired.inside("nft", "list", "tables").stdout


def test_a_look_saves_nothing_and_the_next_reconcile_does(wired: NetworkHost) -> None:
    wired.run("reconcile")
    kept = wired.host.place / "run/ruleset"
    wired.inside("nft", "add table inet other")
    before = kept.stat().st_mtime_ns, kept.read_bytes()
    listed: list[bool] = []
    for words in (("doctor",), ("net", "show"), ("diff",), ("reconcile",), ("reconcile",), ("diff",)):
        assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before or len(listed) > 3
        done = wired.inside("strace", "-f", "-e", "trace=sendto,sendmsg", *wired.host.command(*words))
        listed.append("NFT_MSG_GETSETELEM" in done.stderr)
    assert kept.read_bytes() != before[1]
    assert listed[2:] == [True, True, False, False]


def test_a_damaged_file_of_the_ruleset_costs_a_listing_and_no_more(wired: NetworkHost) -> None:
    wired.run("reconcile")
    both = [wired.host.place / "run/ruleset", *wired.host.place.glob("**/state/ruleset")]
    for kept in both:
        kept.write_bytes(kept.read_bytes()[:-3])
    assert wired.run("net", "restore").stdout == "nothing to do\n"
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    wired.inside("nft", "flush", "ruleset")
    assert wired.run("net", "restore").stdout.startswith("made the ruleset of the network, for 4 addresses")


def test_without_the_key_nothing_is_left(wired: NetworkHost) -> None:
    mine = ("ip", "address", "add", "10.77.9.9/32", "dev", "lo")
    assert wired.inside(*mine).returncode == 0
    wired.run("reconcile")
    config = wired.host.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    assert wired.run("reconcile").returncode == 0
    assert wired.local() == set()
    assert wired.inside("cat", NONLOCAL_BIND).stdout == "0\n"
    assert SOURCE6 not in wired.inside("ip", "address").stdout
    assert wired.inside("nft", "list", "ruleset").stdout == ""
    assert "10.77.9.9" in wired.inside("ip", "address", "show", "dev", "lo").stdout  # not ours
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def without_decisions(wired: NetworkHost) -> None:
    """The key is taken out, and nothing tells any more that there was a network."""
    config = wired.host.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    (wired.host.place / "state/decisions.json").unlink()


def test_nothing_is_left_though_decisions_json_was_deleted(wired: NetworkHost) -> None:
    wired.run("reconcile")
    without_decisions(wired)
    done = wired.run("reconcile").stdout
    assert "remove the gate" in done and "remove the ruleset" in done
    assert wired.local() == set()
    assert wired.inside("nft", "list", "ruleset").stdout == ""
    assert wired.inside("ls", PINS).returncode != 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_pins_alone_show_that_there_was_a_network(wired: NetworkHost) -> None:
    """The saved rulesets are gone as well. Pins are the business of the installation in /run/paas-isolate only."""
    wired.run("reconcile")
    without_decisions(wired)
    for directory in ("run", "state"):
        (wired.host.place / directory / "ruleset").unlink()
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    own = "mount -t tmpfs tmpfs /run && mkdir /run/paas-isolate"
    assert wired.inside("sh", "-c", own).returncode == 0
    done = wired.run("--run", "/run/paas-isolate", "reconcile")
    assert "remove the gate" in done.stdout, done.stderr
    assert wired.local() == set()
    assert wired.inside("ls", PINS).returncode != 0


def test_a_network_that_cannot_be_had_is_told_and_holds_nothing_else_back(wired: NetworkHost) -> None:
    done = wired.inside("setpriv", "--bounding-set", "-net_admin", *wired.host.command("reconcile"))
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr
    assert wired.host.cgroups.exists("users/alice/login")


PINS = "/sys/fs/bpf/paas-isolate"
BIND = (
    "import os, socket, sys; open(sys.argv[3] + '/cgroup.procs', 'w').write('0');"
    "os.setresuid(*[int(sys.argv[2])] * 3);"
    "s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET);"
    "s.bind((sys.argv[1], 80)); print(s.getsockname()[0])"
)


def bound(wired: NetworkHost, address: str, uid: int) -> str:
    """What a customer is told of a bind, in the leaf of their account."""
    leaf = f"{wired.host.cgroups.root}/users/{'alice' if uid == ALICE else 'bob'}/login"
    done = wired.inside("/usr/bin/python3", "-c", BIND, address, str(uid), leaf)
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def test_the_gate_is_installed_and_repaired(wired: NetworkHost) -> None:
    assert "lay the gate, for 2 uids" in wired.run("reconcile").stdout
    assert bound(wired, "127.0.0.1", ALICE) == "127.0.0.1"
    assert "PermissionError" in bound(wired, ALICES[0], BOB)
    wired.inside("rm", f"{PINS}/bind4")
    assert wired.run("diff").stdout == "lay the gate, for 2 uids\n"
    assert wired.run("reconcile").returncode == 0
    assert "PermissionError" in bound(wired, ALICES[0], BOB)


def test_a_shared_loopback_and_a_new_account_change_the_gate_by_element(wired: NetworkHost) -> None:
    wired.run("reconcile")
    wired.host.account("bob", "loopback: shared\npeers: [alice]\n")
    wired.host.account("carol")
    done = wired.run("diff").stdout
    assert "change the gate: add " in done
    assert wired.run("reconcile").returncode == 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert "PermissionError" in bound(wired, "127.0.0.1", BOB)  # port 80 of the machine's own localhost


def test_the_gate_goes_with_the_network(wired: NetworkHost) -> None:
    wired.run("reconcile")
    config = wired.host.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    assert "remove the gate" in wired.run("reconcile").stdout
    assert wired.inside("ls", PINS).returncode != 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_net_show_tells_addresses_and_traffic(wired: NetworkHost) -> None:
    wired.host.account("alice", "peers: [bob]\n")
    wired.run("reconcile")
    wired.inside("sh", "-c", "ip link add here type veth peer name there && ip address add 192.0.2.1/24 dev here")
    wired.inside("sh", "-c", "ip link set here up && ip link set there up")
    send = BIND.partition("s = socket")[0]
    send += (
        "s = socket.create_server((sys.argv[1], 8080)); c = socket.create_connection((sys.argv[1], 8080));"
        "c.sendall(b'x' * 72); c.close(); s.accept()[0].recv(72, socket.MSG_WAITALL);"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x' * 72, ('192.0.2.99', 9))"
    )
    leaf = f"{wired.host.cgroups.root}/users/alice/login"
    assert not wired.inside("/usr/bin/python3", "-c", send, ALICES[0], str(ALICE), leaf).stderr
    told = json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]
    assert told["addresses"] == list(ALICES)
    assert told["peers"] == ["bob"]
    assert 72 <= told["traffic"]["bytes_in"] <= 74 and 72 <= told["traffic"]["bytes_out"] <= 76
    assert told["traffic"]["packets_out"] >= 6
    assert told["traffic"]["udp_bytes_out"] == 100
    assert "10.77.0.1" in wired.run("net", "show").stdout


def test_an_egress_is_kept_by_element_and_what_it_denies_counted(wired: NetworkHost) -> None:
    wired.host.account("alice", "egress: {allow: [dns], deny: [private]}\n")
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    os.unlink(wired.host.place / "run/ruleset")  # so that it is read from the kernel
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    for words in (
        "link add eth7 type veth peer name eth8",
        "link set eth8 up",
        "link set eth7 up",
        "address add 192.0.2.1/24 dev eth7",
        "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth7",  # nobody has it, and nobody waits for ARP
    ):
        wired.inside("ip", *words.split())
    wired.inside("ip", "route", "add", "default", "dev", "eth7")
    send = f"import os, socket; os.setresuid(*[{ALICE}] * 3); s = socket.socket(type=socket.SOCK_DGRAM); "
    assert "PermissionError" in wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('10.1.2.3', 9))").stderr
    assert not wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('10.1.2.3', 53))").stderr
    assert not wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('192.0.2.9', 9))").stderr
    told = json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]
    assert told["egress"] == ["allow dns", "deny private"]
    assert told["traffic"]["packets_denied"] == 1
    assert "egress: allow dns, deny private" in wired.run("net", "show", "alice").stdout
    wired.host.account("bob", "egress: {allow: [dns], deny: [private]}\n")
    change = wired.run("reconcile").stdout
    assert f"change the ruleset of the network: add '{BOB} allow dns, deny private'" in change
    assert json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]["traffic"][
        "packets_denied"
    ]
    wired.host.account("alice", "egress: {limit: {smtp: 2/d}}\n")
    assert wired.run("reconcile").returncode == 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    os.unlink(wired.host.place / "run/ruleset")
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    connect = f"import os, socket; os.setresuid(*[{ALICE}] * 3)\nfor _ in range(3): "
    connect += "s = socket.socket(); s.settimeout(0.3); print(s.connect_ex(('192.0.2.9', 587)))"
    answers = [int(each) for each in wired.inside("/usr/bin/python3", "-c", connect).stdout.split()]
    assert answers == [errno.EAGAIN, errno.EAGAIN, errno.ECONNREFUSED]  # nobody has that address
    told = json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]
    assert told["egress"] == ["limit smtp 2/d"]
    assert (told["traffic"]["packets_denied"], told["traffic"]["mail_connections"]) == (2, 2)
    shown = wired.run("net", "show").stdout.splitlines()
    assert [line.split()[-2:] for line in shown if line.startswith(("ACCOUNT", "alice"))] == [
        ["DENIED", "MAIL"],
        ["2", "2"],
    ]
    for account in ("alice", "bob"):
        wired.host.account(account)
    assert wired.run("reconcile").returncode == 0
    assert "egress_" not in wired.inside("nft", "list", "ruleset").stdout


def test_names_stand_in_a_hosts_file_and_go_again(wired: NetworkHost, tmp_path: Path) -> None:
    etc = str(tmp_path / "etc")  # that of the machine is not the test's
    shutil.copytree("/etc", etc, symlinks=True)
    assert wired.inside("mount", "--bind", etc, "/etc").returncode == 0
    config = wired.host.etc / "config.yaml"
    before = Path(etc, "hosts").read_bytes()
    config.write_text(config.read_text().replace("network: {}", "network: {names: true}"))
    web = "services: {web: {match: {program: web}, limits: {memory: {kill: process}}}}\n"
    wired.host.account("alice", web)
    assert "change the names in /etc/hosts" in wired.run("reconcile").stdout
    for name in ("alice.paas.internal", "web.alice.paas.internal"):
        resolve = f"import socket; print(socket.getaddrinfo({name!r}, 80)[0][4][0])"
        assert wired.inside("/usr/bin/python3", "-c", resolve).stdout.strip() == ALICES[0]
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    spoilt = Path(etc, "hosts")
    spoilt.write_bytes(spoilt.read_bytes().replace(b"# END", b"# end"))
    done = wired.run("reconcile")
    assert done.returncode == 1
    assert "one of the two marks of paas-isolate" in done.stderr
    spoilt.write_bytes(before)
    config.write_text(config.read_text().replace("{names: true}", "{}"))
    assert wired.run("reconcile").returncode == 0
    assert spoilt.read_bytes() == before


def test_a_boot_has_the_ruleset_before_anything_is_read(wired: NetworkHost) -> None:
    wired.host.account("alice", "egress: {deny: [smtp]}\npeers: [bob]\n")
    wired.run("reconcile")
    listed = ("nft", "--stateless", "list", "table", "inet", "paas_isolate")
    before = wired.inside(*listed).stdout
    assert "egress_" in before
    assert wired.run("net", "restore").stdout == "nothing to do\n"
    wired.inside("nft", "flush", "ruleset")
    config = wired.host.etc / "config.yaml"
    whole = config.read_text()
    config.write_text("tree: [")
    assert wired.run("net", "restore").stdout.startswith("made the ruleset of the network, for 4 addresses")
    assert sorted(wired.inside(*listed).stdout.split()) == sorted(before.split())
    config.write_text(whole)
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    config.write_text(whole.replace("network: {}\n", ""))
    wired.run("reconcile")
    assert wired.run("net", "restore").stdout == "nothing to do\n"
    assert wired.inside(*listed).returncode != 0


def test_net_test_tells_which_promises_hold(wired: NetworkHost) -> None:
    wired.host.account("alice", "peers: [carol]\n")
    wired.host.account("carol")
    wired.run("reconcile")
    done = wired.run("net", "test", "alice", "bob", "carol", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, [entry["broken"] for entry in found.values()]
    assert found["who may connect is heard"]["tried"] == 4 * (3 + 1)
    assert all(entry["tried"] for entry in found.values())
    wired.inside("nft", "delete table inet paas_isolate")
    wired.inside("sh", "-c", f"rm {PINS}/*4 {PINS}/*6")
    done = wired.run("net", "test", "alice", "bob")
    assert done.returncode == 1
    assert done.stdout.count("BROKEN") >= 5, done.stdout
    assert f"uid {BOB} was heard at 10.77.0.1" in done.stderr
    wired.run("reconcile")
    assert wired.run("net", "test", "alice", "bob").returncode == 0


SERVICE = """
import os, socket, sys, time
open(sys.argv[2] + "/cgroup.procs", "w").write("0")
os.setresuid(*[int(sys.argv[1])] * 3)
families = {at: socket.AF_INET6 if ":" in at else socket.AF_INET for at in sys.argv[3:]}
servers = [socket.create_server((at, 8080), family=family) for at, family in families.items()]
print(flush=True)
time.sleep(60)
"""
PUBLISHES = """
egress: {allow: [dns], deny: [private, 192.0.2.128/25]}
peers: [carol]
services: {web: {match: {program: web}, listen: 8080, publish: 8300, limits: {memory: {kill: process}}}}
"""


def test_net_test_tries_publishing_egress_and_peers(wired: NetworkHost) -> None:
    words = ("link add eth7 type veth peer name eth8", "link set eth8 up", "link set eth7 up")
    for each in (*words, "address add 192.0.2.1/24 dev eth7", "route add default dev eth7"):
        wired.inside("ip", *each.split())
    wired.inside("ip", "-6", "address", "add", "2001:db8::1/64", "dev", "eth7", "nodad")
    wired.inside("ip", "-6", "route", "add", "default", "dev", "eth7")
    wired.host.account("alice", PUBLISHES)
    wired.host.account("carol")
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    leaf = f"{wired.host.cgroups.root}/users/alice/web"
    command = wired.command("/usr/bin/python3", "-c", SERVICE, str(ALICE), leaf, *ALICES)
    rows = {
        "a peer is heard with its own address": 2 * 2,
        "a published port is reached from the machine": 2 * 4,  # families; customers and nobody
        "a published port is reached from the pool": 2 * 3,
        "what egress denies is refused": 2 * 4,  # three private networks and one more, by TCP and UDP
        "egress refuses nothing on the machine": 2,
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout and server.stdout.readline()

            def rows_of() -> dict[str, dict[str, object]]:
                told = json.loads(wired.run("net", "test", "alice", "bob", "carol", "--json").stdout)
                return {check["name"]: check for check in told}

            found = rows_of()
            assert {name: found[name]["tried"] for name in rows} == rows
            assert not [entry["broken"] for entry in found.values() if not entry["kept"]]
            wired.inside("nft", "flush chain inet paas_isolate leave")
            wired.inside("nft", "flush chain inet paas_isolate publish")
            found = rows_of()
            assert not found["what egress denies is refused"]["kept"]
            assert not found["a published port is reached from the machine"]["kept"]
            assert not found["a published port is reached from the pool"]["kept"]
        finally:
            server.kill()
    wired.inside("nft", "insert rule inet paas_isolate output oifname lo meta skuid", str(CAROL), "drop")
    assert not rows_of()["a peer is heard with its own address"]["kept"]


def test_of_fifty_customers_nobody_reaches_another(wired: NetworkHost) -> None:
    many(wired.host, 48)
    assert wired.run("reconcile").returncode == 0
    names = [path.stem for path in (wired.host.etc / "accounts.d").iterdir()]
    done = wired.run("net", "test", *names, "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, {entry["name"]: entry["broken"][:3] for entry in found.values() if entry["broken"]}
    ways = 2 * 2  # addresses, protocols
    assert found["who may connect is heard"]["tried"] == 50 * ways
    assert found["who may not connect is not heard"]["tried"] == (50 * 49 + 50) * ways  # nobody knocks everywhere too
    assert found["nobody serves on another's address"]["tried"] == (50 * 49 + 50) * 3 * 2


LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 8300)); print(flush=True); time.sleep(60)"


def test_a_port_is_published_unless_the_machine_listens_there(wired: NetworkHost) -> None:
    wired.host.account(
        "alice",
        "services: {web: {match: {program: web}, listen: 8080, publish: 8300, limits: {memory: {kill: process}}}}\n",
    )
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    shown = ("nft", "list", "map", "inet", "paas_isolate", "published4")
    assert "tcp . 8300 : 10.77.0.1 . 8080" in wired.inside(*shown).stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    command = ["nsenter", f"--net=/run/netns/{wired.name}", "/usr/bin/python3", "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout and server.stdout.readline()
        done = wired.run("reconcile")
        server.kill()
    assert done.returncode != 0
    assert "alice cannot publish port 8300: the machine itself listens there" in done.stderr
    assert "8300" not in wired.inside(*shown).stdout
    assert wired.run("reconcile").returncode == 0
    assert "8300" in wired.inside(*shown).stdout


def test_the_daemon_sees_in_a_moment_that_the_machine_listens_on_a_published_port(
    wired: NetworkHost, tmp_path: Path
) -> None:
    """For clients of the machine itself: those of outside are not led away even before."""
    wired.host.account("alice", "services: {web: {listen: 8080, publish: 8300, limits: {memory: {kill: process}}}}\n")
    shown = ("nft", "list", "map", "inet", "paas_isolate", "published4")
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen(wired.command(*wired.host.command("daemon")), stdout=log, stderr=log)
    command = ["nsenter", f"--net=/run/netns/{wired.name}", "/usr/bin/python3", "-c", LISTEN]
    try:
        wait_for(lambda: "8300" in wired.inside(*shown).stdout, what="it is published")
        time.sleep(3)  # the first passes of the daemon are over: what it sees from here on, it has looked for
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout and server.stdout.readline()
                gone = "it is no longer published"
                wait_for(lambda: "8300" not in wired.inside(*shown).stdout, what=gone, deadline=5)
            finally:
                server.kill()
        wait_for(lambda: "8300" in wired.inside(*shown).stdout, what="it is published again", deadline=5)
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0


@pytest.mark.hostile
def test_a_customer_who_listens_on_a_published_port_takes_it_from_nobody(wired: NetworkHost) -> None:
    """By a port that the kernel handed out, on the address of the machine."""
    wired.host.account("alice", "services: {web: {listen: 8080, publish: 8300, limits: {memory: {kill: process}}}}\n")
    uid = str(wired.host.first + 1)
    stepped_down = ("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "/usr/bin/python3", "-c", LISTEN)
    command = ["nsenter", f"--net=/run/netns/{wired.name}", *stepped_down]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout and server.stdout.readline()
        done = wired.run("reconcile")
        server.kill()
    assert done.returncode == 0, done.stderr
    assert "8300" in wired.inside("nft", "list", "map", "inet", "paas_isolate", "published4").stdout


CONVERSE = """
import os, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
here, there = os.pipe()
if os.fork() == 0:
    os.setresuid(*[int(sys.argv[2])] * 3)
    server = socket.create_server((sys.argv[1], 8080), family=family); os.write(there, b"."); os.close(there)
    peer = server.accept()[0]; peer.settimeout(20)
    while data := peer.recv(9): peer.send(data)
    os._exit(0)
os.close(there); os.read(here, 1); os.setresuid(*[int(sys.argv[3])] * 3)
client = socket.create_connection((sys.argv[1], 8080), 5)
for line in sys.stdin:
    try: client.send(b"hello"); print(client.recv(9).decode(), flush=True)
    except OSError as error: print(type(error).__name__, flush=True)
"""


def test_who_loses_a_right_loses_the_connections_too(wired: NetworkHost) -> None:
    """Others keep theirs."""
    wired.host.account("alice", "peers: [carol, bob]\n")
    wired.host.account("carol")
    assert wired.run("reconcile").returncode == 0
    with ExitStack() as stack:
        talks = []
        for server, client in ((ALICES[0], CAROL), (BOBS[0], BOB), (ALICES[1], BOB)):
            uid = ALICE if server in ALICES else BOB
            command = wired.command("/usr/bin/python3", "-c", CONVERSE, server, str(uid), str(client))
            talks.append(
                stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            )

        def said() -> list[str]:
            answers = []
            for talk in talks:
                assert talk.stdin and talk.stdout
                talk.stdin.write("\n")
                talk.stdin.flush()
                answers.append(talk.stdout.readline().strip())
            return answers

        assert said() == ["hello"] * 3
        wired.host.account("alice", "peers: [carol]\n")
        assert wired.run("reconcile").returncode == 0
        assert said() == ["hello", "hello", "ConnectionAbortedError"]
        wired.host.account("alice", "peers: []\n")
        assert wired.run("reconcile").returncode == 0
        first, second, _ = said()
        assert (first, second) == ("ConnectionAbortedError", "hello")


LEAVE = """
import os, socket, sys
open(sys.argv[3] + "/cgroup.procs", "w").write("0")
os.setresuid(*[int(sys.argv[1])] * 3); client = socket.socket(); client.settimeout(0.2)
if sys.argv[2]: client.bind((sys.argv[2], 0))
try: client.connect(("198.51.100.2", 9)); print("came")
except OSError as error: print(type(error).__name__)
"""


def test_translation_begins_when_an_accounts_address_sends_to_another_machine(wired: NetworkHost) -> None:
    """Until then no packet pays for it, and none leaves with such an address. A link to nowhere stands for the other
    machine."""
    for command in (
        "ip link add here type veth peer name there",
        "ip address add 198.51.100.1/24 dev here",
        "ip link set here up",
        "ip link set there up",
    ):
        assert wired.inside(*command.split()).returncode == 0
    assert wired.run("reconcile").returncode == 0
    nat = ("nft", "list", "chain", "inet", "paas_isolate", "postrouting")
    assert wired.inside(*nat).returncode != 0
    leave = ("/usr/bin/python3", "-c", LEAVE, str(ALICE))
    leaf = f"{wired.host.cgroups.root}/users/alice/login"
    assert wired.inside(*leave, "", leaf).stdout.strip() == "TimeoutError"
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert wired.inside(*leave, ALICES[0], leaf).stdout.strip() == "TimeoutError"
    assert "packets 0 " not in wired.inside("nft", "list", "counter", "inet", "paas_isolate", "unmasked").stdout
    assert wired.run("reconcile").returncode == 0
    assert "masquerade" in wired.inside(*nat).stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
