"""The stage of the network's benchmark: one round, in network and mount namespaces of its own.

Arguments: a cgroup with users/customer below `tree`, and `bare`; the number of accounts; the compiled
network_packets.c. Prints JSON: `acts` as Acts.figures, in `made` the milliseconds that the product takes, and those in
the kernel.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network.links import Links
from paas_isolate.linux.network.nft import Nft
from paas_isolate.model.network import PINS, Gate, Grant, Pools, Published, Rules, UidAddresses

POOLS = Pools("10.77.0.0/16", "fd77:7061:6173::/64")
FIRST = 1_000_000
"""The first of a range of uids that no user has."""
MORE = 30
PORT = 7000
SECONDS = 0.4
FIREWALL = """table inet firewall {
    chain input { type filter hook input priority filter; ct state established,related accept; }
}"""
"""A host's own rules, as most have them: with them every packet meets conntrack."""
LAN = {
    "none": (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")),
    "ours": (("198.51.100.1", "198.51.100.2"), ("2001:db8:1::1", "2001:db8:1::2")),
}
"""Of each namespace, by IPv4 and by IPv6: the machine, and its neighbour in the namespace `lan`."""
LOCAL_ACTS = ("bind", "localhost", "connect", "short", "requests", "bulk", "udp")
LAN_ACTS = ("short", "requests", "bulk", "udp")


def home(number: int) -> UidAddresses:
    return UidAddresses(f"10.77.{number >> 8}.{number & 255}", f"fd77:7061:6173::{number:x}")


def namespaces() -> None:
    """This one is `ours`; `none` has the pools' addresses only; each has a link to `lan`."""
    commands = ["mount -t bpf bpf /sys/fs/bpf", "mount -t tmpfs tmpfs /run", f"ip netns attach ours {os.getpid()}"]
    commands += [f"ip netns add {name}" for name in ("none", "lan")]
    for name, versions in LAN.items():
        commands.append(f"ip -n {name} link add lan type veth peer name {name} netns lan")
        for namespace, link, (v4, v6) in zip((name, "lan"), ("lan", name), zip(*versions, strict=True), strict=True):
            commands.append(f"ip -n {namespace} address add {v4}/24 dev {link}")
            commands.append(f"ip -n {namespace} address add {v6}/64 dev {link} nodad")
            commands.append(f"ip -n {namespace} link set {link} up")
    for name in ("ours", "none", "lan"):
        commands.append(f"ip -n {name} link set lo up")
        # without TIME_WAIT, so that no connection takes longer than the one before
        commands.append(f"ip netns exec {name} sysctl -qw net.ipv4.tcp_max_tw_buckets=0 net.ipv6.ip_nonlocal_bind=1")
    commands += [f"ip -n none route add local {pool} dev lo" for pool in POOLS]
    for command in commands:
        subprocess.run(command.split(), check=True)


class Acts:
    """What a customer does, in the namespaces `none` and `ours`. `figures`: by act and column, for IPv4 and then IPv6
    its nanoseconds without network, and the ratio with it to that."""

    def __init__(self, root: str, program: str) -> None:
        self.procs = {"none": f"{root}/bare/cgroup.procs", "ours": f"{root}/tree/users/customer/cgroup.procs"}
        self.program = program
        self.figures: dict[str, dict[str, list[float]]] = {}

    def measure(self, column: str, *, published: bool) -> None:
        """Both ends are the customer's, then a server in `lan`, then, where it is `published`, a client there."""
        lan = ("/run/netns/lan", self.procs["none"])
        for version, own in enumerate((home(1).v4, home(1).v6)):
            local: list[str] = []
            outgoing: list[str] = []
            incoming: list[str] = []
            for name, procs in self.procs.items():
                machine, neighbour = LAN[name][version]
                here = (f"/run/netns/{name}", procs)
                local += [*here, own] * 2
                outgoing += [*lan, neighbour, *here, neighbour]
                incoming += [*here, own if name == "ours" else machine, *lan, machine]
            self._measure("", column, local, LOCAL_ACTS)
            self._measure("to the LAN: ", column, outgoing, LAN_ACTS)
            if published:
                self._measure("from the LAN, published: ", column, incoming, LAN_ACTS)

    def _measure(self, path: str, column: str, sides: Sequence[str], acts: Sequence[str]) -> None:
        words = (self.program, str(SECONDS), str(PORT), str(FIRST + 1), *sides, *acts)
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        for line in done.stdout.splitlines():
            act, none, ratio = line.split()
            by_column = self.figures.setdefault(f"{path}{act}", {})
            by_column.setdefault(column, []).extend((float(none), float(ratio)))


class Ours:
    """All that the product makes of a network."""

    def __init__(self, root: str, accounts: int) -> None:
        self.table, self.links = Nft(POOLS), Links()
        self.gate = BpfGate(POOLS, AttachPoints(PINS, f"{root}/tree", f"{root}/tree/users"))
        self.homes = {FIRST + number: home(number) for number in range(1, accounts + 1)}
        self.made: dict[str, list[float]] = {}

    def rules(self, homes: dict[int, UidAddresses], *, translates: bool = False) -> Rules:
        """With NAT, one port is published."""
        owners = frozenset(Grant(uid, address) for uid, addresses in homes.items() for address in addresses[:2])
        published = frozenset(Published(PORT, address, PORT) for address in home(1)[:2] if translates)
        return Rules(owners, published=published, translates=translates)

    def install(self, accounts: int, *, translates: bool) -> None:
        homes = {FIRST + number: self.homes[FIRST + number] for number in range(1, accounts + 1)}
        self.table.install(self.rules(homes, translates=translates))
        self.gate.set(Gate(homes, translates=translates), None)

    def uninstall(self) -> None:
        self.table.remove()
        self.gate.remove()

    def make(self) -> None:
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


def nft(text: str) -> None:
    """Beside the network and without it."""
    for namespace in ("none", "ours"):
        subprocess.run(("ip", "netns", "exec", namespace, "nft", "-f", "-"), input=text, text=True, check=True)


def measure(ours: Ours, acts: Acts, accounts: int) -> None:
    """Without a firewall of the host and with one, where nothing needs NAT and where something does."""
    for translates, firewall in product((False, True), ("", FIREWALL)):
        nft(firewall)
        for number in (1, accounts):
            ours.install(number, translates=translates)
            column = f"{'NAT' if translates else 'no NAT'}{', firewall' if firewall else ''}, {number:,}"
            try:
                acts.measure(column, published=translates)
            finally:
                ours.uninstall()
        nft("flush ruleset")


def main(root: str, accounts: int, program: str) -> None:
    namespaces()
    ours, acts = Ours(root, accounts), Acts(root, program)
    ours.make()
    try:
        ours.one_more()
    finally:
        ours.uninstall()
    measure(ours, acts, accounts)
    json.dump({"acts": acts.figures, "made": ours.made}, sys.stdout)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
