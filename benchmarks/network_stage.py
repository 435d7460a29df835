"""The stage of the network's benchmark: one round, in a network and a mount namespace that nobody else is in.

Arguments: a cgroup with users/customer, and the number of accounts. Prints JSON: by kind (none, one, all, linear) what
a customer does takes; `made`: what the product takes, in milliseconds, and in the kernel.
"""

import encodings.idna  # noqa: F401  (who has become a customer may not read it)
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from paas_isolate.linux.bpf.gate.gate import PINS, AttachPoints, BpfGate
from paas_isolate.linux.network.links import Links
from paas_isolate.linux.network.nft import Nft, run
from paas_isolate.model.network import Gate, Grant, Pools, Rules, UidAddresses

POOLS = Pools("10.77.0.0/16", "fd77:7061:6173::/64")
FIRST = 1_000_000
"""Uids of nobody's."""
TIMES, SHARES = 2000, 9
MORE = 30
CHUNK = bytes(32 << 10)


def home(number: int) -> UidAddresses:
    return UidAddresses(f"10.77.{number >> 8}.{number & 255}", f"fd77:7061:6173::{number:x}")


def least(act: Callable[[], object], times: int = TIMES) -> list[float]:
    """Microseconds of one, in the best share of many."""
    best = float("inf")
    for _ in range(SHARES):
        begin = time.perf_counter()
        for _ in range(times):
            act()
        best = min(best, time.perf_counter() - begin)
    return [best / times * 1e6]


def customer(root: str) -> dict[str, list[float]]:
    """What a customer measures, in a process of their uid in their cgroup."""
    here, there = os.pipe()
    if (pid := os.fork()) == 0:
        with open(f"{root}/users/customer/cgroup.procs", "w") as procs:
            procs.write("0")
        os.setresuid(FIRST + 1, FIRST + 1, FIRST + 1)
        os.write(there, json.dumps(acts()).encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as told:
        said = told.read()
    os.waitpid(pid, 0)
    found: dict[str, list[float]] = json.loads(said)
    return found


def acts() -> dict[str, list[float]]:
    own = home(1).v4

    def bind(address: str) -> None:
        with socket.socket() as it:
            it.bind((address, 0))

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
    """All that the product makes, made and taken away."""

    def __init__(self, root: str, accounts: int) -> None:
        self.table, self.links = Nft(POOLS), Links()
        self.keeper = BpfGate(POOLS, AttachPoints(PINS, root, f"{root}/users"))
        self.homes = {FIRST + number: home(number) for number in range(1, accounts + 1)}
        self.made: dict[str, list[float]] = {}

    def rules(self, homes: dict[int, UidAddresses]) -> Rules:
        return Rules(frozenset(Grant(uid, address) for uid, it in homes.items() for address in it[:2]))

    def make_one(self) -> None:
        only = {FIRST + 1: self.homes[FIRST + 1]}
        self.table.install(self.rules(only))
        self.keeper.set(Gate(only), None)

    def make(self) -> None:
        self.table.remove()
        self.keeper.remove()
        others = [address for it in list(self.homes.values())[1:] for address in it[:2]]
        rules = self.rules(self.homes)
        self._timed("addresses", lambda: self.links.add(others))
        self._timed("ruleset", lambda: self.table.install(rules))
        self._timed("gate", lambda: self.keeper.set(Gate(self.homes), None))
        parts = [self.made[name] for name in ("addresses", "ruleset", "gate")]
        self.made["all of it from nothing"] = [sum(each) for each in zip(*parts, strict=True)]

    def one_more(self) -> None:
        """One after another, as each would come."""
        new = [FIRST + len(self.homes) + number for number in range(1, MORE + 1)]
        rules, gate = self.rules(self.homes), Gate(self.homes)
        steps = []
        for uid in new:
            homes = {**gate.homes, uid: home(uid - FIRST)}
            more = Gate(homes), rules._replace(owners=rules.owners | {Grant(uid, it) for it in homes[uid][:2]})
            steps.append((gate, rules, *more, list(homes[uid][:2])))
            gate, rules = more
        gates = [partial(self.keeper.set, new, old) for old, _, new, _, _ in steps]
        rulesets = [partial(self.table.change, new, old) for _, old, _, new, _ in steps]
        addresses = [partial(self.links.add, new) for _, _, _, _, new in steps]
        for what, each in (("gate", gates), ("ruleset", rulesets), ("addresses", addresses)):
            self._each(f"one account more: {what}", each)
        self._timed("looked at, nothing to do", lambda: (self.links.observe(), self.keeper.observe()))

    def _timed(self, name: str, act: Callable[[], object]) -> None:
        self._each(name, [act])

    def _each(self, name: str, acts: Sequence[Callable[[], object]]) -> None:
        kernel, begin = resource.getrusage(resource.RUSAGE_SELF).ru_stime, time.perf_counter()
        for act in acts:
            act()
        took, system = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_stime - kernel
        self.made[name] = [took / len(acts) * 1e3, system / len(acts) * 1e3]


def linear(accounts: int) -> str:
    """What one writes by hand: who may connect, an account a line; what is established passes first."""
    lines = ("table inet linear {", "chain output {", "type filter hook output priority filter;")
    each = (f"ip daddr {home(number).v4} meta skuid != {FIRST + number} reject" for number in range(1, accounts + 1))
    return "\n".join((*lines, "ct state established accept", *each, "}", "}"))


def main(root: str, accounts: int) -> None:
    for command in ("ip link set lo up", "mount -t bpf bpf /sys/fs/bpf"):
        subprocess.run(command.split(), check=True)
    ours = Ours(root, accounts)
    ours.links.add(home(1)[:2])
    found = {"none": customer(root)}
    ours.make_one()
    found["one"] = customer(root)
    ours.make()
    try:
        found["all"] = customer(root)
        ours.one_more()
    finally:
        ours.keeper.remove()
        ours.table.remove()
    run(linear(accounts))
    found["linear"] = customer(root)
    json.dump({**found, "made": ours.made}, sys.stdout)


main(sys.argv[1], int(sys.argv[2]))
