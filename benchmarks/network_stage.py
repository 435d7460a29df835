"""The stage of the network's benchmark: one round, in network and mount namespaces of its own.

Arguments: a cgroup with users/customer, and the number of accounts. Prints JSON: for each kind (none, one, all, linear)
the figures of a customer's acts; in `made` the milliseconds that the product takes, and those in the kernel.
"""

import encodings.idna  # noqa: F401  (imported before the process becomes a customer, who may not read it)
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network.links import Links
from paas_isolate.linux.network.nft import Nft, run
from paas_isolate.model.network import PINS, Gate, Grant, Pools, Rules, UidAddresses

POOLS = Pools("10.77.0.0/16", "fd77:7061:6173::/64")
FIRST = 1_000_000
"""The first of a range of uids that no user has."""
TIMES, SHARES = 2000, 9
MORE = 30
CHUNK = bytes(32 << 10)


def home(number: int) -> UidAddresses:
    return UidAddresses(f"10.77.{number >> 8}.{number & 255}", f"fd77:7061:6173::{number:x}")


def least(act: Callable[[], object], times: int = TIMES) -> list[float]:
    """Microseconds of one call, in the best of several series."""
    best = float("inf")
    for _ in range(SHARES):
        begin = time.perf_counter()
        for _ in range(times):
            act()
        best = min(best, time.perf_counter() - begin)
    return [best / times * 1e6]


def customer(root: str) -> dict[str, list[float]]:
    """What a customer measures, in a process with their uid and in their cgroup."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        with open(f"{root}/users/customer/cgroup.procs", "w") as procs:
            procs.write("0")
        os.setresuid(FIRST + 1, FIRST + 1, FIRST + 1)
        os.write(writing, json.dumps(acts()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        figures: dict[str, list[float]] = json.load(pipe)
    os.waitpid(pid, 0)
    return figures


def acts() -> dict[str, list[float]]:
    own = home(1).v4

    def bind(address: str) -> None:
        with socket.socket() as bound:
            bound.bind((address, 0))

    with socket.create_server((own, 0), backlog=16) as server:
        place = server.getsockname()

        def connect() -> None:
            with socket.create_connection(place):
                server.accept()[0].close()

        taken = {
            "bind of the own address": least(lambda: bind(own)),
            "bind of localhost": least(lambda: bind("127.0.0.1")),
            "connect, accept, close": least(connect, TIMES // 2),
        }
        with socket.create_connection(place) as client, server.accept()[0] as serving:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serving.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            question, answer = bytes(100), bytes(1000)

            def request() -> None:
                client.sendall(question)
                serving.recv(4096)
                serving.sendall(answer)
                client.recv(4096)

            def much() -> None:
                client.sendall(CHUNK)
                left = len(CHUNK)
                while left:
                    left -= len(serving.recv(left))

            taken["requests on one connection"] = [1e6 / least(request)[0]]
            taken["bulk"] = [len(CHUNK) / least(much)[0]]
    return taken


class Ours:
    """All that the product makes of a network."""

    def __init__(self, root: str, accounts: int) -> None:
        self.table, self.links = Nft(POOLS), Links()
        self.gate = BpfGate(POOLS, AttachPoints(PINS, root, f"{root}/users"))
        self.homes = {FIRST + number: home(number) for number in range(1, accounts + 1)}
        self.made: dict[str, list[float]] = {}

    def rules(self, homes: dict[int, UidAddresses]) -> Rules:
        return Rules(frozenset(Grant(uid, address) for uid, addresses in homes.items() for address in addresses[:2]))

    def make_one(self) -> None:
        only = {FIRST + 1: self.homes[FIRST + 1]}
        self.table.install(self.rules(only))
        self.gate.set(Gate(only), None)

    def make(self) -> None:
        self.table.remove()
        self.gate.remove()
        self.links.remove(POOLS)
        rules = self.rules(self.homes)
        self._timed("addresses", lambda: self.links.add(POOLS))
        self._timed("ruleset", lambda: self.table.install(rules))
        self._timed("gate", lambda: self.gate.set(Gate(self.homes), None))
        parts = [self.made[name] for name in ("addresses", "ruleset", "gate")]
        self.made["all of it from nothing"] = [sum(each) for each in zip(*parts, strict=True)]

    def one_more(self) -> None:
        """More accounts, one after another."""
        new = [FIRST + len(self.homes) + number for number in range(1, MORE + 1)]
        rules, gate = self.rules(self.homes), Gate(self.homes)
        steps = []
        for uid in new:
            homes = {**gate.homes, uid: home(uid - FIRST)}
            more = Gate(homes), rules._replace(owners=rules.owners | {Grant(uid, own) for own in homes[uid][:2]})
            steps.append((gate, rules, *more))
            gate, rules = more
        gates = [partial(self.gate.set, new, old) for old, _, new, _ in steps]
        rulesets = [partial(self.table.change, new, old) for _, old, _, new in steps]
        for what, each in (("gate", gates), ("ruleset", rulesets)):
            self._each(f"one account more: {what}", each)
        self._timed("looked at, nothing to do", lambda: (self.links.observe(), self.gate.observe()))

    def _timed(self, name: str, act: Callable[[], object]) -> None:
        self._each(name, [act])

    def _each(self, name: str, acts: Sequence[Callable[[], object]]) -> None:
        kernel, begin = resource.getrusage(resource.RUSAGE_SELF).ru_stime, time.perf_counter()
        for act in acts:
            act()
        took, system = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_stime - kernel
        self.made[name] = [took / len(acts) * 1e3, system / len(acts) * 1e3]


def linear(accounts: int) -> str:
    """A ruleset as one writes it by hand: a line an account; established connections pass before."""
    lines = ("table inet linear {", "chain output {", "type filter hook output priority filter;")
    each = (f"ip daddr {home(number).v4} meta skuid != {FIRST + number} reject" for number in range(1, accounts + 1))
    return "\n".join((*lines, "ct state established accept", *each, "}", "}"))


def main(root: str, accounts: int) -> None:
    for command in ("ip link set lo up", "mount -t bpf bpf /sys/fs/bpf"):
        subprocess.run(command.split(), check=True)
    ours = Ours(root, accounts)
    ours.links.add(POOLS)
    figures = {"none": customer(root)}
    ours.make_one()
    figures["one"] = customer(root)
    ours.make()
    try:
        figures["all"] = customer(root)
        ours.one_more()
    finally:
        ours.gate.remove()
        ours.table.remove()
    run(linear(accounts))
    figures["linear"] = customer(root)
    json.dump({**figures, "made": ours.made}, sys.stdout)


main(sys.argv[1], int(sys.argv[2]))
