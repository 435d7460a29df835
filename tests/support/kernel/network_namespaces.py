"""Network namespaces of a test's own with the nftables rules, and a machine of the LAN beside.

Each check is a process that changes to a uid without a user and tries.
"""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paas_isolate.model.network import Grant

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
        except OSError as error: os.write(w, (error.strerror or '').encode())  # a timeout has none
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
        with socket.create_connection((address, port), 2, source_address=source) as client:
            return client.recv(99).decode()
    except OSError as error:
        return f"{type(error).__name__} {'at once' if time.monotonic() - begin < 1 else 'late'}"
def datagram(address, port=8080):
    with socket.socket(family(address), socket.SOCK_DGRAM) as client:
        client.settimeout(1); client.connect((address, port)); client.send(b'?'); return client.recv(99).decode()
"""


@dataclass
class NetworkNamespace:
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

    @contextmanager
    def serving(self, *servers: str) -> Iterator[None]:
        """Each is the arguments of one `serving`; all listen when this begins."""
        play = (
            f"servers = [{', '.join(f'serving({server})' for server in servers)}]\nprint(flush=True); sys.stdin.read()"
        )
        words = ["nsenter", f"--net=/run/netns/{self.name}", "/usr/bin/python3", "-c", f"{PRELUDE}\n{play}"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as player:
            try:
                assert player.stdout and player.stdout.readline()
                yield
            finally:
                subprocess.run(["pkill", "-9", "-P", str(player.pid)], check=False)
                player.kill()

    def nft(self, program: str) -> str:
        begin = (
            "from paas_isolate.linux.network import nfnetlink, nft\n"
            "from paas_isolate.model.network import Grant, Pools, Published, EgressAssignment, RangeEgress, Rules\n"
            f"line = nft.Nft(Pools{POOLS})\n"
            f"rules = Rules(frozenset({OWNERS}), frozenset({PEERS}), frozenset([{FRONT}]), translates=True)\n"
        )
        return self.inside(sys.executable, "-c", begin + program).strip()


def _indented(program: str) -> str:
    return "\n".join(f"    {line}" for line in program.strip().splitlines())


@contextmanager
def opened() -> Iterator[NetworkNamespace]:
    name = f"paas-test-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        space = NetworkNamespace(name)
        space.inside("ip", "link", "set", "lo", "up")
        make_local = f"from paas_isolate.linux.network.links import Links; print(Links().add({POOLS}))"
        assert space.inside(sys.executable, "-c", make_local).strip() == "['', '']"
        yield space
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def neighbour_of(machine: NetworkNamespace) -> Iterator[NetworkNamespace]:
    name = f"paas-lan-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        neighbour = NetworkNamespace(name)
        machine.inside("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth7", "netns", name)
        for each, last in ((machine, 1), (neighbour, 2)):
            each.inside("ip", "address", "add", f"192.0.2.{last}/24", "dev", "eth7")
            each.inside("ip", "address", "add", f"2001:db8::{last}/64", "dev", "eth7", "nodad")
            each.inside("ip", "link", "set", "eth7", "up")
            each.inside("ip", "link", "set", "lo", "up")
        neighbour.inside("ip", "route", "add", POOLS[0], "via", "192.0.2.1")
        neighbour.inside("ip", "-6", "route", "add", POOLS[1], "via", "2001:db8::1")
        yield neighbour
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
