"""A running daemon, and changes that a test makes beside it."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from paas_isolate.linux.process import procfs
from tests.support.kernel.host import TestHost
from tests.support.waiting import wait_for

ALICE, ALICE_UID = "users/alice", 1_000_000_000 + 100 * os.getpid()
PLAIN = "limits: {memory: {kill: process}}\n"


class RunningDaemon:
    """A daemon that runs, with what it says in a file."""

    def __init__(self, host: TestHost, log: Path) -> None:
        self.host, self.log = host, log
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as said:
            return subprocess.Popen(self.host.command("daemon", "--interval", "1000"), stdout=said, stderr=said)

    def says(self, pattern: str) -> None:
        wait_for(
            lambda: re.search(pattern, self.log.read_text()),
            what=lambda: f"the daemon says {pattern}: {self.log.read_text()}",
        )

    def rests(self) -> bool:
        """In no turn, a quarter of a second long."""
        place = Path(f"/proc/{self.process.pid}/wchan")
        for _ in range(5):
            time.sleep(0.05)  # another moment each time
            if "poll" not in place.read_text():
                return False
        return True

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def frozen(host: TestHost, place: str = ALICE) -> bool | None:
    path = Path(host.cgroups.root, place, "cgroup.freeze")
    return path.read_text() == "1\n" if path.exists() else None


def write(host: TestHost, value: str, place: str = ALICE) -> None:
    """By a process of its own: what the daemon itself writes is no news to it."""
    subprocess.run(["sh", "-c", f"echo {value} >{host.cgroups.root}/{place}/cgroup.freeze"], check=True)


def trouble(host: TestHost, ended: threading.Event) -> None:
    """Whatever makes the daemon work, without an end; nothing of it is alice's."""
    suspended = False
    while not ended.wait(0.02):
        suspended = not suspended
        host.account("bob", PLAIN + ("suspended: true\n" if suspended else ""))
        write(host, "0", "users/bob")
        with stray(ALICE_UID + 1, "time.sleep(60)") as process:
            ended.wait(0.05)
            process.kill()
    host.account("bob", PLAIN)


def stray(uid: int, work: str) -> subprocess.Popen[bytes]:
    """A process that becomes a customer's without any session."""
    program = f"import os, time; os.setgroups([]); os.setresgid(*[{uid}] * 3); os.setresuid(*[{uid}] * 3); {work}"
    return subprocess.Popen(["/usr/bin/python3", "-ISc", program], start_new_session=True)


def outside(host: TestHost, uid: int) -> list[int]:
    """Processes of a uid that are alive, and not in the tree."""
    found = []
    for pid, whose in procfs.effective_uids():
        if whose == uid and not (procfs.cgroup(pid) or "").startswith(host.cgroups.root[len(host.cgroups.mount) :]):
            identity = procfs.identity(pid)
            found += [pid] if identity and identity.alive else []
    return found


def inside(host: TestHost, place: str = f"{ALICE}/other") -> set[int]:
    return {int(pid) for pid in Path(host.cgroups.root, place, "cgroup.procs").read_text().split()}
