"""What everything is measured on: cgroups, a fleet and users of its own, all removed afterwards."""

import ctypes
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import record
from benchmarks.fleet import Fleet

SOURCE = Path(__file__).resolve().parents[1]
USER = "paas-bench"
HOMES = "/var/tmp"  # noqa: S108  (homes whose io is limited must lie on a disk, which /tmp often does not)
FLOOR = Path(__file__).with_name("floor.c")
SPEND = Path(__file__).with_name("spend.py")
CONTROLLERS = "+cpuset +cpu +io +memory +pids"
KNOBS = frozenset(
    (
        *("cgroup.freeze", "cgroup.subtree_control", "cpu.max", "cpu.weight", "io.max", "pids.max"),
        *("memory.high", "memory.max", "memory.oom.group", "memory.swap.max"),
    )
)
FREED_WITHIN = 300.0
"""Seconds that the kernel may take to free removed cgroups."""
EMPTY_WITHIN = 10.0
"""Seconds that killed processes may take to leave their cgroup."""
CLONE_NEWNS = 0x00020000


@dataclass(frozen=True)
class Spent:
    """What a command took: `wall` seconds by the clock, `cpu` seconds with its children, `memory` kB at its peak."""

    wall: float
    cpu: float
    memory: int = 0


@dataclass(frozen=True)
class Place:
    """Where to measure: `product` is the directory of the product's programs, `hierarchy` the mount point of cgroup2.
    `limited`: it has controllers, which only the test machine is expected to have."""

    product: Path
    hierarchy: Path
    limited: bool


def place(product: Path) -> Place:
    """This machine, with the product's programs in `product`. FileNotFoundError without a cgroup2 mount."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if not points:
        raise FileNotFoundError("no cgroup2 is mounted here")
    offered = (Path(points[0]) / "cgroup.controllers").read_text().split()
    return Place(product, Path(points[0]), {word.removeprefix("+") for word in CONTROLLERS.split()} <= set(offered))


def spent(command: Sequence[str], *, code: int = 0) -> Spent:
    """Runs a command to its end. RuntimeError where its exit status is not `code`."""
    words = [sys.executable, "-I", "-S", str(SPEND), *command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}; expected {code}")
    return Spent(**json.loads(done.stdout))


def least(all_of: Sequence[Spent]) -> Spent:
    """The least of each figure: disturbances only ever add."""
    return Spent(*(min(figures) for figures in zip(*((run.wall, run.cpu, run.memory) for run in all_of), strict=True)))


class Bench:
    """The product at work on a fleet."""

    def __init__(self, directory: Path, where: Place, accounts: int) -> None:
        self.where = where
        root = where.hierarchy / f"paas-bench-{os.getpid()}"
        self.fleet = Fleet(directory, root, accounts, limited=where.limited)
        self.floor = directory / "floor"

    def command(self, *words: str) -> list[str]:
        return [str(self.where.product / "paas-isolate"), *self.fleet.words(), *words]

    def operations(self) -> list[str]:
        """What a run does on the tree, as strace records it: the list that the floor carries out."""
        trace = self.fleet.directory / "trace"
        strace = ["strace", "-f", "-qq", "-y", "-s", "65536", "-o", str(trace), "-e", f"trace={record.CALLS}"]
        subprocess.run([*strace, *self.command("reconcile", "--cron")], check=True)
        with open(trace, encoding="utf-8", errors="replace") as lines:
            calls = (line.partition(" ")[2].lstrip() for line in lines)  # with -f every line begins with the pid
            return list(record.operations(calls, str(self.fleet.root), str(self.fleet.directory)))

    def multiplied(self, operations: Sequence[str]) -> Path:
        """A file with the list for all of this fleet, from one that was recorded with a few accounts."""
        names = [self.fleet.name(number) for number in range(self.fleet.accounts)]
        lines = record.scaled(operations, self.fleet.name(1), names, str(self.fleet.directory))
        written = self.fleet.directory / "operations"
        written.write_text("".join(f"{line}\n" for line in lines))
        return written

    def descend(self, operations: Path) -> tuple[Spent, int]:
        """Runs the floor once: what it took, and how many system calls it made."""
        done = subprocess.run([self.floor, self.fleet.root, operations], check=True, capture_output=True, text=True)
        wall, cpu, calls, _ = map(int, done.stdout.split())
        return Spent(wall / 1e9, cpu / 1e9), calls

    def tree(self) -> dict[str, str]:
        """Every knob that can be set: its path -> its text."""
        walked = ((path, name) for path, _, names in os.walk(self.fleet.root) for name in names)
        return {f"{path}/{name}": Path(path, name).read_text() for path, name in walked if name in KNOBS}

    def clear(self) -> None:
        """Removes the tree, deepest first, and waits until the kernel has freed it, which goes on after rmdir(2)."""
        for path, _, _ in os.walk(self.fleet.root, topdown=False):
            if path != str(self.fleet.root):
                os.rmdir(path)
        if self.where.limited:
            (self.fleet.root / "cgroup.subtree_control").write_text(CONTROLLERS.replace("+", "-"))
        stat, end = self.fleet.root / "cgroup.stat", time.monotonic() + FREED_WITHIN
        while "nr_dying_descendants 0\n" not in stat.read_text() and time.monotonic() < end:
            time.sleep(0.1)


@contextmanager
def _people(passwd: Path) -> Iterator[None]:
    """The fleet's users, for this process and its children only: bound over /etc/passwd (see `private_mounts`)."""
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/passwd"], check=True)


def private_mounts() -> None:
    """From now on, no other process sees what this one mounts (unshare(2), CLONE_NEWNS)."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def cgroups(where: Place, name: str, *paths: str) -> Iterator[Path]:
    """A directory of its own in the hierarchy, and `paths` below it, parents first. Whoever is in them is killed."""
    root = where.hierarchy / f"paas-bench-{name}-{os.getpid()}"
    made = [root / path for path in paths]
    root.mkdir()
    try:
        for path in made:
            path.mkdir()
        yield root
    finally:
        (root / "cgroup.kill").write_text("1")
        end = time.monotonic() + EMPTY_WITHIN
        while "populated 1" in (root / "cgroup.events").read_text() and time.monotonic() < end:
            time.sleep(0.02)
        for path in reversed(made):
            with suppress(FileNotFoundError):
                path.rmdir()
        root.rmdir()


@contextmanager
def user(where: Place) -> Iterator[pwd.struct_passwd]:
    """A new user in the test machine; `nobody` on a machine that is to stay as it is."""
    if not where.limited:
        yield pwd.getpwnam("nobody")
        return
    subprocess.run(["useradd", "--no-create-home", USER], check=True)
    new = pwd.getpwnam(USER)
    try:
        yield new
    finally:
        # pam_systemd starts a manager for each user who logs in, and userdel refuses while that runs
        subprocess.run(["systemctl", "--quiet", "stop", f"user@{new.pw_uid}.service"], check=False, capture_output=True)
        subprocess.run(["userdel", "--force", USER], check=True, capture_output=True)


def native(place: Path, *targets: str) -> Path:
    """The directory in `place` where `targets` of pam/Makefile were compiled."""
    subprocess.run(["cp", "-r", SOURCE / "pam", place / "build"], check=True)
    subprocess.run(["make", "-s", "-C", place / "build", "clean", *targets], check=True)
    return place / "build"


@contextmanager
def bench(where: Place, accounts: int) -> Iterator[Bench]:
    """The product, a fleet of so many accounts and a compiled floor."""
    with tempfile.TemporaryDirectory(prefix="paas-bench-", dir=HOMES) as directory:
        made = Bench(Path(directory), where, accounts)
        subprocess.run(["gcc", "-O2", "-o", made.floor, FLOOR], check=True)
        if where.limited:
            (where.hierarchy / "cgroup.subtree_control").write_text(CONTROLLERS)
        made.fleet.root.mkdir()
        try:
            made.fleet.write()
            with _people(made.fleet.passwd):
                yield made
        finally:
            with suppress(OSError):
                made.clear()
            made.fleet.root.rmdir()
