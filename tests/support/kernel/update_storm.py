"""Changes ruleset and gate again and again while customers connect and bind; prints how many tries went wrong.

Arguments: a cgroup with users/alice and users/bob, and the number of changes. Runs in namespaces of its own.
"""

import encodings.idna  # noqa: F401  (who has become a customer may not read it)
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network.links import Links
from paas_isolate.linux.network.nft import Nft
from paas_isolate.model.network import PINS, EgressAssignment, Gate, Grant, Pools, Published, Rules, UidAddresses

ALICE, BOB, FRONT = 48_301, 48_302, 48_304
A4, A6, B4, B6 = "10.77.0.1", "fd77:7061:6173::1", "10.77.0.2", "fd77:7061:6173::2"
RULES = Rules(
    frozenset({Grant(ALICE, A4), Grant(ALICE, A6), Grant(BOB, B4), Grant(BOB, B6)}),
    frontends=frozenset({FRONT}),
    translates=True,
)
GATE = Gate({ALICE: UidAddresses(A4, A6), BOB: UidAddresses(B4, B6)}, frontends=RULES.frontends, translates=True)


def reached() -> bool:
    try:
        with socket.create_connection((A4, 8080), 5) as client:
            return client.recv(9) == b"alice"
    except OSError:
        return False


def squatted() -> bool:
    with socket.socket() as squatter:
        try:
            squatter.bind((A4, 8081))
        except PermissionError:
            return False
        return True


PLAYERS: dict[str, tuple[int, Callable[[], bool], bool]] = {
    "the owner connects": (ALICE, reached, True),
    "a front end connects": (FRONT, reached, True),
    "another customer connects": (BOB, reached, False),
    "another customer takes the address": (BOB, squatted, False),
}


def other(number: int) -> tuple[Rules, Gate]:
    """What was sold at this change: alice and bob always the same, others come and go."""
    uid, address = 50_000 + number % 37, f"10.77.9.{number % 37 + 1}"
    rules = RULES._replace(
        owners=RULES.owners | {Grant(uid, address)},
        peers=frozenset({Grant(uid, f"10.77.9.{number % 11 + 1}")}),
        published=frozenset({Published(8300 + number % 5, address, 80)}),
        egress=frozenset({EgressAssignment(uid, ("deny smtp",) if number % 3 else ("allow dns", "deny all"))}),
    )
    return rules, GATE._replace(
        homes={**GATE.homes, uid: UidAddresses(address, f"fd77:7061:6173::9:{number % 37 + 1:x}")}, peers=rules.peers
    )


def play(name: str, root: str) -> tuple[int, int]:
    """The pid of a process that tries until it is asked to stop, and where it says how often it did, and how often it
    went wrong."""
    uid, attempt, expected = PLAYERS[name]
    here, there = os.pipe()
    if (pid := os.fork()) == 0:
        become(uid, root)
        tried = wrong = 0
        while not os.path.exists("/run/paas-stop"):
            wrong += attempt() is not expected
            tried += 1
        os.write(there, json.dumps([tried, wrong]).encode())
        os._exit(0)
    os.close(there)
    return pid, here


def become(uid: int, root: str) -> None:
    with open(f"{root}/users/{'alice' if uid == ALICE else 'bob'}/cgroup.procs", "w") as procs:
        procs.write("0")
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def serve(root: str) -> int:
    here, there = os.pipe()
    if (pid := os.fork()) == 0:
        become(ALICE, root)
        with socket.create_server((A4, 8080), backlog=1024) as server:
            os.write(there, b".")
            while True:
                peer, _ = server.accept()
                peer.sendall(b"alice")
                peer.close()
    os.read(here, 1)
    return pid


def main(root: str, count: int) -> None:
    for command in ("ip link set lo up", "mount -t bpf bpf /sys/fs/bpf", "mount -t tmpfs tmpfs /run"):
        subprocess.run(command.split(), check=True)
    Links().add([A4, A6, B4, B6])
    pools = Pools("10.77.0.0/16", "fd77:7061:6173::/64")
    table, keeper = Nft(pools), BpfGate(pools, AttachPoints(PINS, root, f"{root}/users"))
    table.install(RULES)
    keeper.set(GATE, None)
    server = serve(root)
    players = {name: play(name, root) for name in PLAYERS}
    try:
        told = change_all(table, keeper, count)
        told["players"] = {name: json.loads(os.read(pipe, 99)) for name, (_, pipe) in players.items()}
    finally:
        for pid in (server, *(pid for pid, _ in players.values())):
            os.kill(pid, 9)
    json.dump(told, sys.stdout)


def change_all(table: Nft, keeper: BpfGate, count: int) -> dict[str, object]:
    """Ends with the players asked to stop."""
    seed = random.randrange(1 << 30)
    chance, begin = random.Random(seed), time.monotonic()
    rules, gate = RULES, GATE
    for _ in range(count):
        new_rules, new_gate = other(chance.randrange(1000))
        whole = chance.random() < 0.01
        table.install(new_rules) if whole else table.change(new_rules, rules)
        keeper.set(new_gate, None if whole else gate)
        rules, gate = new_rules, new_gate
    seconds = time.monotonic() - begin
    open("/run/paas-stop", "w").close()
    return {"seed": seed, "seconds": seconds}


main(sys.argv[1], int(sys.argv[2]))
