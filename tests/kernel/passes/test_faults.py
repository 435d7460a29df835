"""What a run does when the kernel says no, or when it is killed, at every system call that changes something.

strace puts the fault in (strace(1), Tampering). The run creates, changes and deletes; whatever happened to it, the
next one converges to the same tree, no process of a customer has died, and nobody was shown a traceback.
"""

import os
import random
import shutil
import subprocess

import pytest

from tests.support.kernel.host import ALICE, BOB, NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel

CALLS = ("mkdir", "mkdirat", "write", "rmdir", "unlink", "unlinkat", "rename", "fsync", "openat")
ERRORS = ("ENOSPC", "EIO", "ENOMEM", "EACCES", "EBUSY", "EINTR", "EAGAIN", "ENOENT", "ESRCH", "EINVAL", "EMFILE")
FAULTS = (*(f"error={name}" for name in ERRORS), "signal=SIGKILL")


def faults(number: int | None) -> list[tuple[str, str, int]]:
    """(call, fault, at which occurrence): all of them, or a sample that is the same every time."""
    every = [(call, fault, nth) for call in CALLS[:-1] for fault in FAULTS for nth in (1, 2, 3, 5, 8, 13, 21, 34)]
    # Opening for reading is what Python's start consists of: only the late ones are the run's own.
    every += [("openat", fault, nth) for fault in FAULTS for nth in range(150, 420, 15)]
    return every if number is None else random.Random(7).sample(every, number)


def sampled() -> int:
    """A run under strace takes a second, and 45 in an emulated machine, which is where the controllers are."""
    return 5 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 16


BEFORE = {"pids.max": "40", "memory.max": str(64 << 20), "cpu.max": "50000 100000"}
AFTER = {"pids.max": "60", "memory.max": str(48 << 20), "cpu.max": "40000 100000"}
"""Limits of alice, where this kernel has controllers: raised, lowered under a living process, lowered."""


class Fleet:
    """A host in two states; the run under test goes from the first to the second."""

    def __init__(self, host: TestHost, sleeper: Sleepers) -> None:
        self.host = host
        self.limited = {"cpu", "memory", "pids"} <= set((host.cgroups.read("", "cgroup.controllers") or "").split())
        self.alice, self.bob = sleeper(uid=ALICE).pid, sleeper(uid=BOB).pid
        wait_for_uid(ALICE, self.alice)
        wait_for_uid(BOB, self.bob)

    def first(self) -> None:
        limits = "limits: {pids: 40, memory: 64M, cpu: 50%}\n" if self.limited else ""
        self.host.account("alice", f"{limits}services: {{web: {{{NO_LIMIT}}}, old: {{{NO_LIMIT}}}}}\n")
        self.host.account("carol")
        (self.host.etc / "accounts.d" / "bob.yaml").unlink(missing_ok=True)
        done = self.host.run("reconcile", "--remove")
        assert done.returncode in (0, 4), done.stderr

    def second(self) -> None:
        limits = "limits: {pids: 60, memory: 48M, cpu: 40%}\n" if self.limited else "suspended: false\n"
        self.host.account("alice", f"{limits}services: {{web: {{{NO_LIMIT}}}, new: {{{NO_LIMIT}}}}}\n")
        self.host.account("bob")
        (self.host.etc / "accounts.d" / "carol.yaml").unlink()
        self.host.cgroups.write("users/alice/web", "cgroup.freeze", "1")

    def run_with(self, call: str, fault: str, nth: int) -> subprocess.CompletedProcess[str]:
        inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:{fault}:when={nth}"]
        words = self.host.command("reconcile")
        at = words.index("sh") + 2
        words[at] = words[at].replace('exec "$0"', f'PYTHONDONTWRITEBYTECODE=1 exec {" ".join(inject)} "$0"')
        return subprocess.run(words, capture_output=True, text=True)

    def check_limits(self, *either: dict[str, str]) -> None:
        for knob in BEFORE if self.limited else ():
            assert self.host.cgroups.read("users/alice", knob) in [limits[knob] for limits in either], knob

    def check(self) -> None:
        assert self.host.run("reconcile", "--wait", "5").returncode == 0
        leaves = ["alice/login", "alice/new", "alice/other", "alice/web", "bob/login", "bob/other"]
        assert self.host.tree() == leaves
        assert self.host.cgroups.read("users/alice/web", "cgroup.freeze") == "0"
        assert where(self.host.cgroups, self.alice) == "users/alice/other"
        assert where(self.host.cgroups, self.bob) == "users/bob/other"
        self.check_limits(AFTER)
        assert self.host.run("reconcile").stdout == "nothing to do\n"


@pytest.fixture
def fleet(host: TestHost, sleeper: Sleepers) -> Fleet:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    return Fleet(host, sleeper)


def suffer(fleet: Fleet, call: str, fault: str, nth: int) -> None:
    fleet.first()
    fleet.second()
    done = fleet.run_with(call, fault, nth)
    if (
        "importlib" not in done.stderr and "ImportError" not in done.stderr
    ):  # a fault while Python itself starts is Python's to tell
        assert "Traceback" not in done.stderr, done.stderr
    fleet.check_limits(BEFORE, AFTER)
    fleet.check()


@pytest.mark.parametrize(("call", "fault", "nth"), faults(sampled()))
def test_a_run_survives_a_fault(fleet: Fleet, call: str, fault: str, nth: int) -> None:
    suffer(fleet, call, fault, nth)


@pytest.mark.long
@pytest.mark.parametrize(("call", "fault", "nth"), faults(None))
def test_every_fault_is_survived(fleet: Fleet, call: str, fault: str, nth: int) -> None:
    suffer(fleet, call, fault, nth)
