"""The measurements themselves, on the machine that this runs on: cold, nothing to do, and what others do."""

import ctypes
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark import record
from benchmark.fleet import Fleet

PRODUCT = Path("/opt/paas-isolate/venv/bin")
FLOOR = Path(__file__).with_name("floor.c")
HIERARCHY = Path("/sys/fs/cgroup")
CONTROLLERS = "+cpuset +cpu +io +memory +pids"
HOMES = "/var/tmp"  # noqa: S108  (homes whose io is limited must lie on a disk, which /tmp often does not)
ROUNDS = 5
SAMPLES = 50
FREED_WITHIN = 10.0
CLONE_NEWNS = 0x00020000
SAMPLE = 8
"""Accounts that are recorded, for the floor of many."""


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds of ours, of what it is held against, and the target of the ratio."""

    what: str
    ours: float
    against: str
    theirs: float
    target: str
    faster: bool = False

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours if self.faster else self.ours / self.theirs


@dataclass(frozen=True)
class Spent:
    """What a command took, in seconds: by the clock, and of CPU time with its children."""

    wall: float
    cpu: float


def spent(command: Sequence[str]) -> Spent:
    """Run it to its end; it must succeed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


class Bench:
    """A tree, a fleet and a floor of one's own; all gone afterwards."""

    def __init__(self, directory: Path, accounts: int) -> None:
        self.fleet = Fleet(directory, HIERARCHY / f"paas-bench-{os.getpid()}", accounts)
        self.floor = directory / "floor"
        self.said: list[str] = []

    def command(self, *words: str) -> list[str]:
        return [str(PRODUCT / "paas-isolate"), *self.fleet.words(), *words]

    def operations(self) -> list[str]:
        """What a run does on the tree, seen by strace: the list that the floor carries out."""
        trace = self.fleet.directory / "trace"
        strace = ["strace", "-f", "-qq", "-y", "-s", "65536", "-o", str(trace), "-e", f"trace={record.CALLS}"]
        subprocess.run([*strace, *self.command("reconcile", "--cron")], check=True)
        with open(trace, encoding="utf-8", errors="replace") as lines:
            calls = (it.partition(" ")[2].lstrip() for it in lines)  # with -f every line begins with the pid
            return list(record.operations(calls, str(self.fleet.root), str(self.fleet.directory)))

    def descend(self, operations: Path) -> tuple[Spent, int]:
        """The floor once: what it took, and how many system calls it made."""
        told = subprocess.run([self.floor, self.fleet.root, operations], check=True, capture_output=True, text=True)
        wall, cpu, calls, _ = map(int, told.stdout.split())
        return Spent(wall / 1e9, cpu / 1e9), calls

    def clear(self) -> None:
        """Take the tree away again, deepest first, and let the kernel free it: that goes on behind rmdir(2)."""
        for path, _, _ in os.walk(self.fleet.root, topdown=False):
            if path != str(self.fleet.root):
                os.rmdir(path)
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
def bench(accounts: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-", dir=HOMES) as directory:
        made = Bench(Path(directory), accounts)
        subprocess.run(["gcc", "-O2", "-o", made.floor, FLOOR], check=True)
        (HIERARCHY / "cgroup.subtree_control").write_text(CONTROLLERS)
        made.fleet.root.mkdir()
        try:
            made.fleet.write()
            with _people(made.fleet.passwd):
                yield made
        finally:
            with suppress(OSError):
                made.clear()
            made.fleet.root.rmdir()


def measure(accounts: int, say: Callable[[str], None]) -> list[Row]:
    """Everything in one run. Needs root, cgroup v2 with controllers, the product, gcc, strace, cgroup-tools."""
    private_mounts()
    cold_list, idle_list = _recorded()
    with bench(accounts) as made:
        spent(made.command("reconcile", "--cron"))  # compiles the specifications, once for all that follows
        start = _least([spent([str(PRODUCT / "python"), "-I", "-c", "pass"]) for _ in range(ROUNDS)])
        say(f"the interpreter's start: {start.wall:.2f} s ({start.cpu:.2f} of CPU time)")
        idle, idle_floor = _pairs(made, "nothing to do", idle_list, say)
        cold, cold_floor = _pairs(made, "cold", cold_list, say, prepare=made.clear)
        made.clear()
        by_systemd = _each(_systemctl, say, "systemctl set-property")
        by_tools = _each(_cgset, say, "cgcreate and cgset") if shutil.which("cgset") else None
    each = cold.wall / accounts
    everything = f"{accounts} accounts from nothing"
    rows = [
        Row(everything, cold.wall, "the same system calls in C", cold_floor.wall, "at most 1.5"),
        Row(
            f"{accounts} accounts, nothing to do, beyond the interpreter's start",
            idle.wall - start.wall,
            "a C loop that reads the same files",
            idle_floor.wall,
            "at most 2",
        ),
        Row("one account from nothing", each, "systemctl set-property", by_systemd, "at least 50", faster=True),
    ]
    if by_tools is not None:
        floor = cold_floor.wall / accounts
        rows.append(Row("one account from nothing", each, "cgcreate + cgset", by_tools, "at least 50", faster=True))
        rows.append(Row("the same system calls in C", floor, "cgcreate + cgset", by_tools, "", faster=True))
    return rows


def _recorded() -> tuple[list[str], list[str]]:
    """What a cold run and one with nothing to do consist of, from a fleet of a few."""
    with bench(SAMPLE) as small:
        spent(small.command("reconcile", "--cron"))
        idle = small.operations()
        small.clear()
        return small.operations(), idle


def _pairs(
    made: Bench,
    name: str,
    seen: list[str],
    say: Callable[[str], None],
    prepare: Callable[[], None] = lambda: None,
) -> tuple[Spent, Spent]:
    """Ours and the floor in turn, so that a machine that drifts drifts for both; the least of each, for what
    disturbs only ever adds."""
    names = [made.fleet.name(number) for number in range(made.fleet.accounts)]
    operations, specs = made.fleet.directory / "operations", str(made.fleet.directory)
    operations.write_text("".join(f"{it}\n" for it in record.scaled(seen, made.fleet.name(1), names, specs)))
    ours, floor, calls = [], [], 0
    for _ in range(ROUNDS):
        prepare()
        ours.append(spent(made.command("reconcile", "--cron")))
        prepare()
        taken, calls = made.descend(operations)
        floor.append(taken)
    one, two = _least(ours), _least(floor)
    say(f"{name}: rounds of {' '.join(f'{a.wall:.2f}/{b.wall:.2f}' for a, b in zip(ours, floor, strict=True))}")
    of_cpu = f"{one.cpu:.2f} and {two.cpu:.2f} of CPU time"
    say(f"{name}: {one.wall:.2f} s, the floor {two.wall:.2f} s ({of_cpu}), {calls} system calls on tree and /proc")
    return one, two


def _each(make: Callable[[int], None], say: Callable[[str], None], name: str) -> float:
    """Seconds by the clock for one account of the 50: the least of five means of ten, as ours is the least of five."""
    means = []
    for first in range(0, SAMPLES, SAMPLES // ROUNDS):
        begin = time.monotonic()
        for number in range(first, first + SAMPLES // ROUNDS):
            make(number)
        means.append((time.monotonic() - begin) * ROUNDS / SAMPLES)
    say(f"{name}: {' '.join(f'{mean * 1000:.0f}' for mean in means)} ms an account")
    return min(means)


def _systemctl(number: int) -> None:
    """A slice for the account with the six limits, and two below it: what the product makes."""
    name = f"paasbench{number}"
    limits = ["CPUQuota=50%", "CPUWeight=50", "MemoryMax=512M", "MemorySwapMax=0", "TasksMax=100"]
    limits += ["IOReadBandwidthMax=/ 10M", "IOWriteBandwidthMax=/ 10M"]
    subprocess.run(["systemctl", "set-property", "--runtime", f"{name}.slice", *limits], check=True)
    leaves = [f"{name}-login.slice", f"{name}-other.slice"]
    subprocess.run(["systemctl", "start", *leaves], check=True)
    subprocess.run(["systemctl", "set-property", "--runtime", leaves[1], "TasksMax=68"], check=True)
    subprocess.run(["systemctl", "stop", f"{name}.slice", *leaves], check=True, stderr=subprocess.DEVNULL)


def _cgset(number: int) -> None:
    name = f"paasbench{number}"
    groups = [f"cpu,io,memory,pids:{path}" for path in (name, f"{name}/login", f"{name}/other")]
    subprocess.run(["cgcreate", *(word for group in groups for word in ("-g", group))], check=True)
    limits = ["cpu.max=50000 100000", "cpu.weight=50", "memory.max=536870912", "memory.swap.max=0", "pids.max=100"]
    limits += [f"io.max={_disk()} rbps=10485760 wbps=10485760"]
    subprocess.run(["cgset", *(word for limit in limits for word in ("-r", limit)), name], check=True)
    subprocess.run(["cgset", "-r", "pids.max=68", f"{name}/other"], check=True)
    for path in (f"{name}/login", f"{name}/other", name):
        (HIERARCHY / path).rmdir()


@cache
def _disk() -> str:
    """The disk that the fleet's homes lie on, MAJOR:MINOR."""
    found = subprocess.run(["findmnt", "-no", "MAJ:MIN", "-T", HOMES], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def _least(all_of: Sequence[Spent]) -> Spent:
    return Spent(min(it.wall for it in all_of), min(it.cpu for it in all_of))
