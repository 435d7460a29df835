"""Addresses of accounts in a network namespace of the test's own, by the command itself."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop, many
from workplace import until

pytestmark = pytest.mark.kernel
ALICES = ("10.77.0.1", "fd77:7061:6173::1")
BOBS = ("10.77.0.2", "fd77:7061:6173::2")
SERVE = (
    "import os, socket, sys; os.setresuid(*[int(sys.argv[2])] * 3); at = (sys.argv[1], 8080);"
    "server = socket.create_server(at, family=socket.AF_INET6 if ':' in at[0] else socket.AF_INET);"
    "client = socket.create_connection(at); client.sendall(b'hello'); peer, _ = server.accept(); print(peer.recv(5))"
)


class Wired:
    """A hosting machine whose network is a namespace."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.name = shop, name
        waits = "mount -t bpf bpf /sys/fs/bpf && echo && exec sleep infinity"  # pins last as long as this mount does
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", waits]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.holder.stdout and self.holder.stdout.readline()

    def end(self) -> None:
        self.holder.kill()
        self.holder.communicate()

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", f"--mount=/proc/{self.holder.pid}/ns/mnt", *words]

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True)

    def rules(self) -> list[str]:
        """In no order: elements are listed in another each time."""
        return sorted(self.inside("nft", "--stateless", "list", "table", "inet", "paas_isolate").stdout.split())

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.inside(*self.shop.command(*words))

    def addresses(self) -> set[str]:
        routes = self.inside("ip", "-4", "route", "show", "table", "local", "proto", "119").stdout
        addresses = self.inside("ip", "-6", "-oneline", "address", "show").stdout
        six = (line.split()[3].removesuffix("/128") for line in addresses.splitlines() if "fd77:" in line)
        return {line.split()[1] for line in routes.splitlines()} | set(six)


@pytest.fixture
def wired(shop: Shop) -> Iterator[Wired]:
    name = f"paas-test-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    opened = Wired(shop, name)
    try:
        opened.inside("ip", "link", "set", "lo", "up")
        for account in ("alice", "bob"):
            shop.account(account, "limits: {memory: {kill: process}}\n")
        config = shop.etc / "config.yaml"
        config.write_text(config.read_text() + "network: {}\n")
        yield opened
    finally:
        opened.end()
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_every_account_has_addresses_and_can_be_reached_there(wired: Wired) -> None:
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert f"add the address {ALICES[0]} of alice" in done.stdout
    assert wired.addresses() == {*ALICES, *BOBS}
    for address in ALICES:
        assert "hello" in wired.inside("/usr/bin/python3", "-c", SERVE, address, "48201").stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_what_somebody_took_away_comes_back(wired: Wired) -> None:
    wired.run("reconcile")
    wired.inside("ip", "route", "del", "local", ALICES[0], "table", "local")
    for link in ("lo", "paas0"):
        wired.inside("ip", "address", "del", f"{BOBS[1]}/128", "dev", link)
    assert wired.addresses() == {ALICES[1], BOBS[0]}
    assert wired.run("diff", "--exit-code").returncode == 3
    assert "2 changes made" in wired.run("reconcile").stdout
    assert wired.addresses() == {*ALICES, *BOBS}


def test_an_account_that_goes_takes_its_addresses_along(wired: Wired) -> None:
    wired.run("reconcile")
    (wired.shop.etc / "accounts.d" / "bob.yaml").unlink()
    done = wired.run("reconcile")
    assert f"remove the address {BOBS[1]}" in done.stdout
    assert wired.addresses() == set(ALICES)


def test_another_address_replaces_the_old_one(wired: Wired) -> None:
    wired.run("reconcile")
    wired.shop.account("bob", "address: 10.77.4.4\n")
    assert wired.run("reconcile").returncode == 0
    assert wired.addresses() == {*ALICES, "10.77.4.4", BOBS[1]}


TRY = "import os, socket, sys; os.setresuid(*[int(sys.argv[2])] * 3); socket.create_connection((sys.argv[1], 9), 3)"
CLOSED = "Connection refused"
COUNTER = ("nft", "list", "counter", "inet", "paas_isolate", "refused")


def refused(wired: Wired, address: str, uid: int) -> bool:
    """Whether our rules refuse a uid there (a port where nobody listens refuses as well, and is not counted)."""
    before = wired.inside(*COUNTER).stdout
    assert CLOSED in wired.inside("/usr/bin/python3", "-c", TRY, address, str(uid)).stderr
    return wired.inside(*COUNTER).stdout != before


def test_only_who_may_connects(wired: Wired) -> None:
    wired.shop.account("alice", "peers: [carol]\n")
    wired.shop.account("carol")
    assert wired.run("reconcile").returncode == 0
    everybody = (48201, 48202, 48203, 0, 65534)
    assert [refused(wired, ALICES[0], uid) for uid in everybody] == [False, True, False, False, True]
    assert [refused(wired, BOBS[1], uid) for uid in everybody] == [True, False, True, False, True]


def test_many_uids_are_written_without_a_look_at_who_has_them(wired: Wired) -> None:
    """A user who is called as another's number is not taken for that one: nobody is asked for by name."""
    many(wired.shop, 100)
    passwd = wired.shop.place / "passwd"
    uids = {wired.shop.first + 3 + n for n in range(100)}
    passwd.write_text(passwd.read_text() + "".join(f"{uid}:x:1:1::/:/bin/sh\n" for uid in uids))
    for _ in range(2):
        assert wired.run("reconcile").returncode == 0
        listed = wired.inside("nft", "--json", "list", "set", "inet", "paas_isolate", "owners4").stdout
        (owners,) = (it["set"]["elem"] for it in json.loads(listed)["nftables"] if "set" in it)
        assert uids < {it["concat"][0] for it in owners}
        assert wired.run("reconcile").stdout.strip() == "nothing to do"
        wired.inside("nft", "flush", "ruleset")


@pytest.mark.parametrize("spoilt", ["ruleset", "chain inet paas_isolate output", "set inet paas_isolate owners4"])
def test_a_ruleset_that_somebody_spoils_is_put_back(wired: Wired, spoilt: str) -> None:
    wired.run("reconcile")
    assert wired.inside("nft", f"flush {spoilt}").returncode == 0
    assert "the ruleset of the network" in wired.run("diff").stdout
    assert "1 change made" in wired.run("reconcile").stdout
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert refused(wired, ALICES[0], 48202)
    assert not refused(wired, ALICES[0], 48201)


def test_the_daemon_puts_back_what_somebody_takes_away(wired: Wired, tmp_path: Path) -> None:
    wired.shop.account("alice", "services: {web: {publish: 8300, limits: {memory: {kill: process}}}}\n")
    assert wired.run("reconcile").returncode == 0
    whole = wired.rules()
    away = ("ip", "route", "del", "local", ALICES[0], "table", "local")
    wired.inside(*away)
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen(wired.command(*wired.shop.command("daemon")), stdout=log, stderr=log)
    try:
        until(lambda: wired.addresses() == {*ALICES, *BOBS}, "it has looked at everything")
        for words in (("nft", "flush", "ruleset"), ("nft", "flush", "chain", "inet", "paas_isolate", "output"), away):
            assert wired.inside(*words).returncode == 0
            until(lambda: wired.rules() == whole and wired.addresses() == {*ALICES, *BOBS}, " ".join(words))
        told = (tmp_path / "log").read_text()
        assert len(re.findall(r"the ruleset of the network, .*; changed by pid \d+ \(nft\)", told)) == 2, told
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0


def test_one_account_more_is_a_change_by_element_and_lists_nothing(wired: Wired) -> None:
    wired.run("reconcile")
    assert refused(wired, ALICES[0], 48202)
    counted = wired.inside(*COUNTER).stdout
    wired.shop.account("carol")
    done = wired.inside("strace", "-f", "-e", "trace=sendto,sendmsg", *wired.shop.command("reconcile"))
    assert "change the ruleset of the network: add '48203 at 10.77.0.3', '48203 at fd77:7061:6173::3'" in done.stdout
    assert "NFT_MSG_NEWSETELEM" in done.stderr
    assert "NFT_MSG_GETSETELEM" not in done.stderr
    assert wired.inside(*COUNTER).stdout == counted


def test_doctor_tells_what_is_missing(wired: Wired) -> None:
    assert "FAILED  addresses" in wired.run("doctor").stdout
    wired.run("reconcile")
    well = wired.run("doctor").stdout
    assert "OK      addresses" in well
    assert "OK      ruleset" in well
    wired.inside("nft", "flush", "ruleset")
    assert "it is gone" in wired.run("doctor").stdout
    wired.run("reconcile")
    wired.inside("nft", "flush chain inet paas_isolate input")
    assert "somebody has changed it" in wired.run("doctor").stdout


def test_what_another_program_does_to_its_own_table_is_left(wired: Wired) -> None:
    wired.run("reconcile")
    wired.inside("nft", "add table inet other")
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert "table inet other" in wired.inside("nft", "list", "tables").stdout


def test_a_look_saves_nothing_and_the_next_reconcile_does(wired: Wired) -> None:
    wired.run("reconcile")
    kept = wired.shop.place / "run/ruleset"
    wired.inside("nft", "add table inet other")
    before = kept.stat().st_mtime_ns, kept.read_bytes()
    listed = []
    for words in (("doctor",), ("net", "show"), ("diff",), ("reconcile",), ("reconcile",), ("diff",)):
        assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before or len(listed) > 3
        done = wired.inside("strace", "-f", "-e", "trace=sendto,sendmsg", *wired.shop.command(*words))
        listed.append("NFT_MSG_GETSETELEM" in done.stderr)
    assert kept.read_bytes() != before[1]
    assert listed[2:] == [True, True, False, False]


def test_a_damaged_file_of_the_ruleset_costs_a_listing_and_no_more(wired: Wired) -> None:
    wired.run("reconcile")
    both = [wired.shop.place / "run/ruleset", *wired.shop.place.glob("**/state/ruleset")]
    for kept in both:
        kept.write_bytes(kept.read_bytes()[:-3])
    assert wired.run("net", "restore").stdout == "nothing to do\n"
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    wired.inside("nft", "flush", "ruleset")
    assert wired.run("net", "restore").stdout.startswith("made the ruleset of the network, for 4 addresses")


def test_without_the_key_nothing_is_left(wired: Wired) -> None:
    mine = ("ip", "address", "add", "10.77.9.9/32", "dev", "lo")
    assert wired.inside(*mine).returncode == 0
    wired.run("reconcile")
    config = wired.shop.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    assert wired.run("reconcile").returncode == 0
    assert wired.addresses() == set()
    assert wired.inside("nft", "list", "ruleset").stdout == ""
    assert "10.77.9.9" in wired.inside("ip", "address", "show", "dev", "lo").stdout  # not ours
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_a_network_that_cannot_be_had_is_told_and_holds_nothing_else_back(wired: Wired) -> None:
    done = wired.inside("setpriv", "--bounding-set", "-net_admin", *wired.shop.command("reconcile"))
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr
    assert wired.shop.cgroups.exists("users/alice/login")


PINS = "/sys/fs/bpf/paas-isolate"
BIND = (
    "import os, socket, sys; open(sys.argv[3] + '/cgroup.procs', 'w').write('0');"
    "os.setresuid(*[int(sys.argv[2])] * 3);"
    "s = socket.socket(); s.bind((sys.argv[1], 80)); print(s.getsockname()[0])"
)


def bound(wired: Wired, address: str, uid: int) -> str:
    """What a customer is told of a bind, in the leaf of their account."""
    leaf = f"{wired.shop.cgroups.root}/users/{'alice' if uid == 48201 else 'bob'}/login"
    done = wired.inside("/usr/bin/python3", "-c", BIND, address, str(uid), leaf)
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def test_the_gate_is_laid_and_mended(wired: Wired) -> None:
    assert "lay the gate, for 2 uids" in wired.run("reconcile").stdout
    assert bound(wired, "127.0.0.1", 48201) == "127.0.0.1"
    assert "PermissionError" in bound(wired, ALICES[0], 48202)
    wired.inside("rm", f"{PINS}/bind4")
    assert wired.run("diff").stdout == "lay the gate, for 2 uids\n"
    assert wired.run("reconcile").returncode == 0
    assert "PermissionError" in bound(wired, ALICES[0], 48202)


def test_a_shared_loopback_and_a_new_account_change_the_gate_by_element(wired: Wired) -> None:
    wired.run("reconcile")
    wired.shop.account("bob", "loopback: shared\npeers: [alice]\n")
    wired.shop.account("carol")
    done = wired.run("diff").stdout
    assert "change the gate: add " in done
    assert wired.run("reconcile").returncode == 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    assert "PermissionError" in bound(wired, "127.0.0.1", 48202)  # port 80 of the machine's own localhost


def test_the_gate_goes_with_the_network(wired: Wired) -> None:
    wired.run("reconcile")
    config = wired.shop.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    assert "remove the gate" in wired.run("reconcile").stdout
    assert wired.inside("ls", PINS).returncode != 0
    assert wired.run("reconcile").stdout.strip() == "nothing to do"


def test_net_show_tells_addresses_and_traffic(wired: Wired) -> None:
    wired.shop.account("alice", "peers: [bob]\n")
    wired.run("reconcile")
    send = BIND.replace("s = socket.socket(); s.bind((sys.argv[1], 80)); print(s.getsockname()[0])", "")
    send += "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x' * 72, (sys.argv[1], 9))"
    leaf = f"{wired.shop.cgroups.root}/users/alice/login"
    assert not wired.inside("/usr/bin/python3", "-c", send, ALICES[0], "48201", leaf).stderr
    told = json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]
    assert told["addresses"] == list(ALICES)
    assert told["peers"] == ["bob"]
    assert told["traffic"]["bytes_out"] == 100 and told["traffic"]["packets_out"] == 1
    assert "10.77.0.1" in wired.run("net", "show").stdout


def test_an_egress_is_kept_by_element_and_what_it_denies_counted(wired: Wired) -> None:
    wired.shop.account("alice", "egress: {allow: [dns], deny: [private]}\n")
    done = wired.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    os.unlink(wired.shop.place / "run/ruleset")  # so that it is read from the kernel
    assert wired.run("reconcile").stdout.strip() == "nothing to do"
    for words in (
        "link add eth7 type veth peer name eth8",
        "link set eth8 up",
        "link set eth7 up",
        "address add 192.0.2.1/24 dev eth7",
    ):
        wired.inside("ip", *words.split())
    wired.inside("ip", "route", "add", "default", "dev", "eth7")
    send = "import os, socket; os.setresuid(*[48201] * 3); s = socket.socket(type=socket.SOCK_DGRAM); "
    assert "PermissionError" in wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('10.1.2.3', 9))").stderr
    assert not wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('10.1.2.3', 53))").stderr
    assert not wired.inside("/usr/bin/python3", "-c", send + "s.sendto(b'', ('192.0.2.9', 9))").stderr
    told = json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]
    assert told["egress"] == ["allow dns", "deny private"]
    assert told["traffic"]["packets_denied"] == 1
    assert "egress: allow dns, deny private" in wired.run("net", "show", "alice").stdout
    wired.shop.account("bob", "egress: {allow: [dns], deny: [private]}\n")
    change = wired.run("reconcile").stdout
    assert "change the ruleset of the network: add '48202 allow dns, deny private'" in change
    assert json.loads(wired.run("net", "show", "alice", "--json").stdout)["accounts"]["alice"]["traffic"][
        "packets_denied"
    ]
    for account in ("alice", "bob"):
        wired.shop.account(account)
    assert wired.run("reconcile").returncode == 0
    assert "egress_" not in wired.inside("nft", "list", "ruleset").stdout


def test_names_stand_in_a_hosts_file_and_go_again(wired: Wired, tmp_path: Path) -> None:
    etc = str(tmp_path / "etc")  # that of the machine is not the test's
    shutil.copytree("/etc", etc, symlinks=True)
    assert wired.inside("mount", "--bind", etc, "/etc").returncode == 0
    config = wired.shop.etc / "config.yaml"
    before = Path(etc, "hosts").read_bytes()
    config.write_text(config.read_text().replace("network: {}", "network: {names: true}"))
    web = "services: {web: {match: {program: web}, limits: {memory: {kill: process}}}}\n"
    wired.shop.account("alice", web)
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


def test_a_boot_has_the_ruleset_before_anything_is_read(wired: Wired) -> None:
    wired.shop.account("alice", "egress: {deny: [smtp]}\npeers: [bob]\n")
    wired.run("reconcile")
    listed = ("nft", "--stateless", "list", "table", "inet", "paas_isolate")
    before = wired.inside(*listed).stdout
    assert "egress_" in before
    assert wired.run("net", "restore").stdout == "nothing to do\n"
    wired.inside("nft", "flush", "ruleset")
    config = wired.shop.etc / "config.yaml"
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


def test_net_test_tells_which_promises_hold(wired: Wired) -> None:
    wired.shop.account("alice", "peers: [carol]\n")
    wired.shop.account("carol")
    wired.run("reconcile")
    done = wired.run("net", "test", "alice", "bob", "carol", "--json")
    found = {it["name"]: it for it in json.loads(done.stdout)}
    assert done.returncode == 0, [it["broken"] for it in found.values()]
    assert found["who may connect is heard"]["tried"] == 4 * (3 + 1)
    assert all(it["tried"] for it in found.values())
    wired.inside("nft", "delete table inet paas_isolate")
    wired.inside("sh", "-c", f"rm {PINS}/*4 {PINS}/*6")
    done = wired.run("net", "test", "alice", "bob")
    assert done.returncode == 1
    assert done.stdout.count("BROKEN") >= 5, done.stdout
    assert "uid 48202 was heard at 10.77.0.1" in done.stderr
    wired.run("reconcile")
    assert wired.run("net", "test", "alice", "bob").returncode == 0


def test_of_fifty_customers_nobody_reaches_another(wired: Wired) -> None:
    many(wired.shop, 48)
    assert wired.run("reconcile").returncode == 0
    names = [path.stem for path in (wired.shop.etc / "accounts.d").iterdir()]
    done = wired.run("net", "test", *names, "--json")
    found = {it["name"]: it for it in json.loads(done.stdout)}
    assert done.returncode == 0, {it["name"]: it["broken"][:3] for it in found.values() if it["broken"]}
    ways = 2 * 2  # addresses, protocols
    assert found["who may connect is heard"]["tried"] == 50 * ways
    assert found["who may not connect is not heard"]["tried"] == (50 * 49 + 50) * ways  # nobody knocks everywhere too
    assert found["nobody serves on another's address"]["tried"] == (50 * 49 + 50) * 3 * 2


LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 8300)); print(flush=True); time.sleep(60)"


def test_a_port_is_published_unless_the_machine_listens_there(wired: Wired) -> None:
    wired.shop.account(
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


@pytest.mark.hostile
def test_a_customer_who_listens_on_a_published_port_takes_it_from_nobody(wired: Wired) -> None:
    """By a port that the kernel handed out, on the address of the machine."""
    wired.shop.account("alice", "services: {web: {listen: 8080, publish: 8300, limits: {memory: {kill: process}}}}\n")
    uid = str(wired.shop.first + 1)
    stepped_down = ("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "/usr/bin/python3", "-c", LISTEN)
    command = ["nsenter", f"--net=/run/netns/{wired.name}", *stepped_down]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout and server.stdout.readline()
        done = wired.run("reconcile")
        server.kill()
    assert done.returncode == 0, done.stderr
    assert "8300" in wired.inside("nft", "list", "map", "inet", "paas_isolate", "published4").stdout
