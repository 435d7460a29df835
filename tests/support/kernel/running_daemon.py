"""A daemon that runs for a test, and what is done beside it."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from paas_isolate.linux.process import procfs
from tests.support.kernel.host import Shop
from tests.support.waiting import wait_for

ALICE, ALICE_UID = "users/alice", 1_000_000_000 + 100 * os.getpid()
PLAIN = "limits: {memory: {kill: process}}\n"


class Resident:
    """A daemon that runs, with what it says in a file."""

    def __init__(self, shop: Shop, log: Path) -> None:
        self.shop, self.log = shop, log
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as said:
            return subprocess.Popen(self.shop.command("daemon", "--interval", "1000"), stdout=said, stderr=said)

    def says(self, pattern: str) -> None:
        wait_for(
            lambda: re.search(pattern, self.log.read_text()),
            what=lambda: f"the daemon says {pattern}: {self.log.read_text()}",
        )

    def rests(self) -> bool:
        """In no turn, a quarter of a second long."""
        place = Path(f"/proc/{self.process.pid}/wchan")
        return all(time.sleep(0.05) or "poll" in place.read_text() for _ in range(5))

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def frozen(shop: Shop, place: str = ALICE) -> bool | None:
    path = Path(shop.cgroups.root, place, "cgroup.freeze")
    return path.read_text() == "1\n" if path.exists() else None


def write(shop: Shop, value: str, place: str = ALICE) -> None:
    """By a process of its own: what the daemon itself writes is no news to it."""
    subprocess.run(["sh", "-c", f"echo {value} >{shop.cgroups.root}/{place}/cgroup.freeze"], check=True)


def trouble(shop: Shop, ended: threading.Event) -> None:
    """Whatever makes the daemon work, without an end; nothing of it is alice's."""
    suspended = False
    while not ended.wait(0.02):
        suspended = not suspended
        shop.account("bob", PLAIN + ("suspended: true\n" if suspended else ""))
        write(shop, "0", "users/bob")
        with stray(ALICE_UID + 1, "time.sleep(60)") as process:
            ended.wait(0.05)
            process.kill()
    shop.account("bob", PLAIN)


def stray(uid: int, work: str) -> subprocess.Popen[bytes]:
    """A process that becomes a customer's without any session."""
    program = f"import os, time; os.setgroups([]); os.setresgid(*[{uid}] * 3); os.setresuid(*[{uid}] * 3); {work}"
    return subprocess.Popen(["/usr/bin/python3", "-ISc", program], start_new_session=True)


def outside(shop: Shop, uid: int) -> list[int]:
    """Processes of a uid that are alive, and not in the tree."""
    found = []
    for pid, whose in procfs.effective_uids():
        if whose == uid and not (procfs.cgroup(pid) or "").startswith(shop.cgroups.root[len(shop.cgroups.mount) :]):
            identity = procfs.identity(pid)
            found += [pid] if identity and identity.alive else []
    return found


def inside(shop: Shop, place: str = f"{ALICE}/other") -> set[int]:
    return {int(pid) for pid in Path(shop.cgroups.root, place, "cgroup.procs").read_text().split()}
