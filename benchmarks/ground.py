"""What everything is measured on: a tree, a fleet and a floor of one's own; all gone afterwards."""

import ctypes
import json
import os
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
CLONE_NEWNS = 0x00020000


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds by the clock, of CPU time with its children, and its own peak memory in kB."""

    wall: float
    cpu: float
    memory: int = 0


@dataclass(frozen=True)
class Place:
    """Where to measure: `product` is the directory of the product's programs, `hierarchy` where cgroup2 is mounted;
    `limited` says that it has controllers."""

    product: Path
    hierarchy: Path
    limited: bool


def place(product: Path) -> Place:
    """This machine. OSError where no cgroup2 is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if not points:
        raise FileNotFoundError("no cgroup2 is mounted here")
    offered = (Path(points[0]) / "cgroup.controllers").read_text().split()
    return Place(product, Path(points[0]), {word.removeprefix("+") for word in CONTROLLERS.split()} <= set(offered))


def spent(command: Sequence[str], *, code: int = 0) -> Spent:
    """Run it to its end, which must have this exit status."""
    words = [sys.executable, "-I", "-S", str(SPEND), *command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}; expected {code}")
    return Spent(**json.loads(done.stdout))


def least(all_of: Sequence[Spent]) -> Spent:
    """What disturbs only ever adds."""
    return Spent(min(it.wall for it in all_of), min(it.cpu for it in all_of), min(it.memory for it in all_of))


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
        """What a run does on the tree, seen by strace: the list that the floor carries out."""
        trace = self.fleet.directory / "trace"
        strace = ["strace", "-f", "-qq", "-y", "-s", "65536", "-o", str(trace), "-e", f"trace={record.CALLS}"]
        subprocess.run([*strace, *self.command("reconcile", "--cron")], check=True)
        with open(trace, encoding="utf-8", errors="replace") as lines:
            calls = (it.partition(" ")[2].lstrip() for it in lines)  # with -f every line begins with the pid
            return list(record.operations(calls, str(self.fleet.root), str(self.fleet.directory)))

    def multiplied(self, operations: Sequence[str]) -> Path:
        """A list that was recorded with a few accounts, for all of this fleet."""
        names = [self.fleet.name(number) for number in range(self.fleet.accounts)]
        lines = record.scaled(operations, self.fleet.name(1), names, str(self.fleet.directory))
        written = self.fleet.directory / "operations"
        written.write_text("".join(f"{line}\n" for line in lines))
        return written

    def descend(self, operations: Path) -> tuple[Spent, int]:
        """The floor once: what it took, and how many system calls it made."""
        told = subprocess.run([self.floor, self.fleet.root, operations], check=True, capture_output=True, text=True)
        wall, cpu, calls, _ = map(int, told.stdout.split())
        return Spent(wall / 1e9, cpu / 1e9), calls

    def tree(self) -> dict[str, str]:
        """Every knob that can be set, by its path: what is to be the same."""
        found = {}
        for path, _, names in os.walk(self.fleet.root):
            for name in names:
                if name in KNOBS:
                    found[f"{path}/{name}"] = Path(path, name).read_text()
        return found

    def clear(self) -> None:
        """Take the tree away again, deepest first, and let the kernel free it: that goes on behind rmdir(2)."""
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
    """The fleet's users, for this process and its children alone: bound over /etc/passwd (see `private_mounts`)."""
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/passwd"], check=True)


def private_mounts() -> None:
    """What this process mounts from now on, nobody else sees (unshare(2), CLONE_NEWNS)."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def bench(where: Place, accounts: int) -> Iterator[Bench]:
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
