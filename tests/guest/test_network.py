"""Addresses of accounts on a machine with dummy links, on which version 0.1 had them."""

import json
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.support.guest.machine import run
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs


@pytest.fixture
def alice(spec: Specs, sell: Callable[..., Customer], paas: Paas) -> Customer:
    spec.config(network={})
    customer = sell("alice", limits={"pids": 100})
    paas("reconcile")
    return customer


def addresses(alice: Customer) -> tuple[str, str]:
    """By the arithmetic of the manual, for the default pools."""
    number = 1 + alice.uid - 1000
    return f"10.77.{number >> 8}.{number & 255}", f"fd77:7061:6173::{number:x}"


def reached(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 8080), family=family), socket.create_connection((address, 8080), 5):
        return True


def test_an_account_is_reached_at_its_addresses(alice: Customer, paas: Paas) -> None:
    assert all(map(reached, addresses(alice)))
    assert paas("reconcile").out == "nothing to do\n"


def test_the_link_of_version_0_1_goes_with_its_addresses(alice: Customer, paas: Paas) -> None:
    if "proto" not in subprocess.run(["ip", "address", "help"], capture_output=True, text=True).stderr:
        pytest.skip("ip(8) knows no protocol of an address, as in Debian 12")
    v4, v6 = addresses(alice)
    run("ip", "link", "add", "paas0", "type", "dummy")
    run("ip", "link", "set", "paas0", "up")
    run("ip", "route", "add", "local", v4, "dev", "paas0", "table", "local", "proto", "119")
    run("ip", "address", "add", f"{v6}/128", "dev", "paas0", "nodad", "proto", "119")
    assert f"remove the address {v6}" in paas("reconcile").out
    assert subprocess.run(["ip", "link", "show", "paas0"], capture_output=True).returncode != 0
    assert all(map(reached, addresses(alice)))
    assert paas("reconcile").out == "nothing to do\n"


def test_a_route_that_somebody_removes_comes_back(alice: Customer, paas: Paas) -> None:
    run("ip", "route", "delete", "local", "10.77.0.0/16", "table", "local")
    paas("diff", "--exit-code", code=3)
    paas("reconcile")
    assert all(map(reached, addresses(alice)))


def test_the_ruleset_is_known_again_and_put_back(alice: Customer, paas: Paas) -> None:
    run("nft", "add table inet other")  # so that the kernel's count of transactions says nothing any more
    try:
        assert paas("reconcile").out == "nothing to do\n"
        run("nft", "flush chain inet paas_isolate output")
        assert "make the ruleset" in paas("diff", "--exit-code", code=3).out
        paas("reconcile")
        assert "inet other" in run("nft", "list tables")
        assert "owners4" in run("nft", "list chain inet paas_isolate speak")
    finally:
        run("nft", "delete table inet other")


SERVE = "import socket; s = socket.create_server(('{}', {})); print(s.getsockname()[0])"


def test_the_gate_governs_a_customer_outside_of_the_tree_too(alice: Customer, paas: Paas) -> None:
    """setpriv opens no session: for a moment the process is where root's shell is."""
    drop = ("setpriv", f"--reuid={alice.uid}", f"--regid={alice.uid}", "--clear-groups", "python3", "-c")
    assert run(*drop, SERVE.format("127.0.0.1", 80)) == "127.0.0.1\n"
    taken = subprocess.run([*drop, SERVE.format("10.77.255.1", 80)], capture_output=True, text=True)
    assert "PermissionError" in taken.stderr
    assert "gate" in paas("doctor", code=None).out


def test_the_gate_is_laid_again_and_goes_with_the_network(alice: Customer, spec: Specs, paas: Paas) -> None:
    run("rm", "/sys/fs/bpf/paas-isolate/connect4")
    assert "lay the gate" in paas("reconcile").out
    assert paas("reconcile").out == "nothing to do\n"
    spec.config()
    assert "remove the gate" in paas("reconcile").out
    assert subprocess.run(["ls", "/sys/fs/bpf/paas-isolate"], capture_output=True).returncode != 0


def test_net_test_finds_that_every_promise_is_kept(alice: Customer, sell: Callable[..., Customer], paas: Paas) -> None:
    others = [sell(name, limits={"pids": 100}).name for name in ("bob", "carol")]
    paas("reconcile")
    told = paas("net", "test", alice.name, *others).out
    assert told.count(" kept") == 9, told  # Debian has a front end, www-data
    run("nft", "delete table inet paas_isolate")
    answer = paas("net", "test", alice.name, code=1)
    assert "it is gone" in answer.err
    paas("reconcile")
    paas("net", "test", alice.name)


def test_a_published_port_leads_to_the_service(alice: Customer, sell: Callable[..., Customer], paas: Paas) -> None:
    """By the machine's own address, which is not the loopback."""
    web = {"match": {"program": "web"}, "listen": 8080, "publish": 8300}
    carol = sell("carol", services={"web": web})
    paas("reconcile")
    machine = run("hostname", "-I").split()[0]
    drop = ("setpriv", f"--reuid={carol.uid}", f"--regid={carol.uid}", "--clear-groups", "python3", "-c")
    serve = (
        "import socket; s = socket.create_server(('0.0.0.0', 8080)); print(flush=True); s.accept()[0].send(b'carol')"
    )
    with subprocess.Popen([*drop, serve], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout and server.stdout.readline()
            with socket.create_connection((machine, 8300), 5) as client:
                assert client.recv(9) == b"carol"
        finally:
            server.kill()


def test_what_an_egress_denies_does_not_leave_and_is_counted(
    alice: Customer, sell: Callable[..., Customer], paas: Paas
) -> None:
    assert alice.uid  # who switches the network on
    carol = sell("carol", egress={"deny": ["private"], "allow": ["dns"]})
    paas("reconcile")
    drop = ("setpriv", f"--reuid={carol.uid}", f"--regid={carol.uid}", "--clear-groups", "python3", "-c")
    machine = run("hostname", "-I").split()[0]
    neighbour = f"{machine.rpartition('.')[0]}.77"
    send = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'', ({!r}, 9))"
    refused = subprocess.run([*drop, send.format(neighbour)], capture_output=True, text=True)
    assert "PermissionError" in refused.stderr
    assert not subprocess.run([*drop, send.format("127.0.0.1")], capture_output=True, text=True).stderr
    told = json.loads(paas("net", "show", "carol", "--json").out)["accounts"]["carol"]
    assert told["traffic"]["packets_denied"] == 1


PROTOCOLS = """
import ctypes, os, socket, sys
family, protocol = map(int, sys.argv[1:3])
libc = ctypes.CDLL(None, use_errno=True)
peer = socket.AF_INET.to_bytes(2, sys.byteorder) + (22).to_bytes(2, "big") + socket.inet_aton(sys.argv[3]) + bytes(8)
made = libc.socket(family, socket.SOCK_STREAM, protocol)  # Python's own knows no address of AF_SMC
print(os.strerror(ctypes.get_errno()) if made < 0 or libc.connect(made, peer, 16) else "came")
"""


@pytest.mark.parametrize(
    ("module", "family", "protocol", "of_root"),
    [("sctp", 2, 132, "Connection refused"), ("smc", 43, 0, "came")],  # AF_SMC falls back to plain TCP
)
def test_a_protocol_whose_packets_no_rule_matches_is_no_way_out(
    alice: Customer, module: str, family: int, protocol: int, of_root: str
) -> None:
    """SCTP binds without asking the gate; the socket inside one of AF_SMC has no uid."""
    run("modprobe", module)
    script = ("python3", "-c", PROTOCOLS, str(family), str(protocol), run("hostname", "-I").split()[0])
    assert run(*script) == f"{of_root}\n"
    drop = ("setpriv", f"--reuid={alice.uid}", f"--regid={alice.uid}", "--clear-groups")
    assert run(*drop, *script) == "Operation not permitted\n"


SUBORDINATE = """
import ctypes, os, socket, subprocess, sys
inside, outside = os.pipe(), os.pipe()
if (pid := os.fork()) == 0:
    ctypes.CDLL(None).unshare(0x10000000)  # CLONE_NEWUSER
    os.write(inside[1], b"1"); os.read(outside[0], 1)
    os.setresuid(7, 7, 7)
    for address in ("0.0.0.0", sys.argv[3], sys.argv[4]):
        try:
            with socket.create_server((address, 8099)) as server: print("bound", address, server.getsockname()[0])
        except OSError as error: print(error.strerror)
    try: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (sys.argv[5], 9)); print("sent")
    except OSError as error: print(error.strerror)
    sys.stdout.flush(); os._exit(0)
os.read(inside[0], 1)
subprocess.run(["newuidmap", str(pid), "0", sys.argv[1], "1", "1", sys.argv[2], "60000"], check=True)
os.write(outside[1], b"1"); os.waitpid(pid, 0)
"""


def test_a_subordinate_uid_gets_no_further_than_its_account(
    alice: Customer, sell: Callable[..., Customer], paas: Paas
) -> None:
    assert alice.uid  # who switches the network on
    carol = sell("carol", egress={"deny": ["private"]})
    with open("/etc/subuid", "a", encoding="ascii") as file:
        file.write(f"{carol.name}:3000000:65536\n")
    paas("reconcile")
    assert paas("reconcile").out == "nothing to do\n"
    machine = run("hostname", "-I").split()[0]
    own, other = addresses(carol)[0], addresses(alice)[0]
    script = ("python3", "-c", SUBORDINATE, str(carol.uid), "3000000", own, other, f"{machine.rpartition('.')[0]}.77")
    process = carol.runs(*script, leaf=f"users/{carol.name}/other")
    answers = process.communicate(timeout=60)[0].splitlines()
    assert answers[:2] == ["bound 0.0.0.0 0.0.0.0", f"bound {own} {own}"]
    assert [answer.partition(" (")[0] for answer in answers[2:]] == ["Operation not permitted"] * 2, answers
    assert "subordinate uids" in paas("doctor", code=None).out
