"""The host of test_gate: reads [uid, code] a line, answers what the code leaves in `answer`. Each uid has a process."""

import ctypes
import encodings.idna  # noqa: F401  (who has become a customer may not read it)
import json
import os
import subprocess
import sys
import types

from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network.links import Links
from paas_isolate.model.network import PINS, Gate, Grant, Pools, Subordinates, UidAddresses, UidRange

NAMES = {48_301: "alice", 48_302: "bob", 48_303: "carol"}
LEAVES = {**NAMES, 165_636: "alice", 48_306: "alice"}
"""A subordinate uid of alice, and a uid of no customer, are in her cgroup too."""
A4, A6, B4, B6 = "10.77.0.1", "fd77:7061:6173::1", "10.77.0.2", "fd77:7061:6173::2"
C4, C6 = "10.77.0.3", "fd77:7061:6173::3"
OUTSIDE = -1
"""In place of a uid: root of another machine, whose link to this one begins with its first line."""


def main(root: str) -> None:
    for command in (
        "ip link set lo up",
        "ip address add 192.0.2.1/24 dev lo",
        "ip address add 2001:db8::1/64 dev lo nodad",
        "mount -t bpf bpf /sys/fs/bpf",
    ):
        subprocess.run(command.split(), check=True)
    Links().add([A4, A6, B4, B6, C4, C6])
    keeper = BpfGate(Pools("10.77.0.0/16", "fd77:7061:6173::/64"), AttachPoints(PINS, root, f"{root}/users"))
    homes = {48_301: UidAddresses(A4, A6), 48_302: UidAddresses(B4, B6), 48_303: UidAddresses(C4, C6, shared=True)}
    gate = Gate(homes, frozenset({Grant(48_303, A4), Grant(48_303, A6)}), frozenset({48_304}))
    gate = gate._replace(subordinates={"alice": Subordinates(48_301, (UidRange(165_536, 231_071),))})
    keeper.set(gate, None)
    helpers: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        uid, code = json.loads(line)
        if uid not in helpers:
            helpers[uid] = start(root, uid, {"keeper": keeper, "gate": gate})
            if uid == OUTSIDE:
                link_to(int(os.read(helpers[uid][0], 65536)))
        reader, writer = helpers[uid]
        os.write(writer, json.dumps(code).encode() + b"\n")
        print(os.read(reader, 65536).decode().strip(), flush=True)  # noqa: T201
    for _, writer in helpers.values():
        os.close(writer)


def link_to(pid: int) -> None:
    """A link to the network namespace of a process, which has a route to the pools over it."""
    enter = f"nsenter --net --target {pid}"
    for command in (
        f"ip link add here type veth peer name there netns {pid}",
        "ip address add 198.51.100.1/24 dev here",
        "ip address add 2001:db8:1::1/64 dev here nodad",
        "ip link set here up",
        f"{enter} ip address add 198.51.100.2/24 dev there",
        f"{enter} ip address add 2001:db8:1::2/64 dev there nodad",
        f"{enter} ip link set there up",
        f"{enter} ip route add 10.77.0.0/16 via 198.51.100.1",
        f"{enter} ip route add fd77:7061:6173::/64 via 2001:db8:1::1",
    ):
        subprocess.run(command.split(), check=True)


def start(root: str, uid: int, known: dict[str, object]) -> tuple[int, int]:
    """A process of this uid in its own cgroup."""
    (here, answers), (questions, there) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(there)
        leaf = f"{root}/users/{LEAVES[uid]}" if uid in LEAVES else root
        with open(f"{leaf}/cgroup.procs", "w") as procs:
            procs.write("0")
        if uid == OUTSIDE:
            ctypes.CDLL(None).unshare(0x40000000)  # CLONE_NEWNET
            os.write(answers, f"{os.getpid()}\n".encode())
        else:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        answer(questions, answers, {**known, "uid": uid, "uids": list(NAMES), "keep": {}, "libc": ctypes.CDLL(None)})
        os._exit(0)
    os.close(answers)
    os.close(questions)
    return here, there


def answer(questions: int, answers: int, known: dict[str, object]) -> None:
    import socket

    module = types.ModuleType("host")
    vars(module).update(vars(socket), socket=socket, os=os, **known)
    for line in os.fdopen(questions):
        try:
            exec(json.loads(line), vars(module))
            said = vars(module)["answer"]
        except OSError as error:
            said = type(error).__name__ if type(error) is not OSError else repr(error)
        except Exception as error:  # noqa: BLE001  (told to who asked)
            said = repr(error)
        os.write(answers, json.dumps(said).encode() + b"\n")


main(sys.argv[1])
