"""The main figures: from nothing, nothing to do, and what other programs take. They need controllers."""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from benchmarks import table
from benchmarks.ground import HOMES, Bench, Place, Spent, bench, least, spent

ROUNDS = 5
SAMPLES = 50
SAMPLE = 8
"""Accounts that are recorded, for the floor of many."""


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds of the product (`ours`) and of what it is compared with (`theirs`), and the target
    of their ratio; with `faster`, the ratio says how many times faster the product is."""

    what: str
    ours: float
    against: str
    theirs: float
    target: str
    faster: bool = False

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours if self.faster else self.ours / self.theirs


def markdown(rows: Sequence[Row]) -> str:
    def times(row: Row) -> str:
        return f"{row.ratio:.0f} times faster" if row.faster else f"{row.ratio:.2f}"

    lines = ((row.what, f"{row.ours:.4g}", row.against, f"{row.theirs:.4g}", times(row), row.target) for row in rows)
    return table.grid(("what", "seconds:", "compared with", "its seconds:", "ratio:", "target"), lines)


def measure(where: Place, accounts: int, say: Callable[[str], None]) -> list[Row]:
    """All rows in one run. Needs root, cgroup v2 with controllers, the product, gcc, strace, cgroup-tools."""
    cold_list, idle_list = recorded(where)
    with bench(where, accounts) as made:
        spent(made.command("reconcile", "--cron"))  # compiles the specifications, once for all that follows
        start = least([spent([str(where.product / "python3"), "-I", "-c", "pass"]) for _ in range(ROUNDS)])
        say(f"the interpreter's start: {start.wall:.2f} s ({start.cpu:.2f} of CPU time)")
        idle, idle_floor = _pairs(made, "nothing to do", idle_list, say)
        cold, cold_floor = _pairs(made, "cold", cold_list, say, prepare=made.clear)
        made.clear()
        by_systemd = _each(_systemctl, say, "systemctl set-property")
        has_tools = shutil.which("cgset") is not None
        by_tools = _each(partial(_cgset, where), say, "cgcreate and cgset, a cgroup a call") if has_tools else None
        at_once = _each(partial(_cgset_at_once, where), say, "cgcreate and cgset, few calls") if has_tools else None
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
    if by_tools is not None and at_once is not None:
        loop, few = "cgcreate + cgset for each of its cgroups", "cgcreate + cgset with as few calls as they can do with"
        rows.append(Row("one account from nothing", each, loop, by_tools, "at least 50", faster=True))
        rows.append(Row("one account from nothing", each, few, at_once, "", faster=True))
        rows.append(Row("the same system calls in C", cold_floor.wall / accounts, few, at_once, "", faster=True))
    return rows


def recorded(where: Place) -> tuple[list[str], list[str]]:
    """The operations of a run from nothing and of one with nothing to do, recorded with a few accounts."""
    with bench(where, SAMPLE) as small:
        spent(small.command("reconcile", "--cron"))
        idle = small.operations()
        small.clear()
        return small.operations(), idle


def _pairs(
    made: Bench,
    name: str,
    recorded: list[str],
    say: Callable[[str], None],
    prepare: Callable[[], None] = lambda: None,
) -> tuple[Spent, Spent]:
    """The product and the floor in turn, so that both meet the same changes of the machine; the least of each."""
    operations = made.multiplied(recorded)
    ours, floor, calls = [], [], 0
    for _ in range(ROUNDS):
        prepare()
        ours.append(spent(made.command("reconcile", "--cron")))
        prepare()
        taken, calls = made.descend(operations)
        floor.append(taken)
    one, two = least(ours), least(floor)
    say(f"{name}: rounds of {' '.join(f'{a.wall:.2f}/{b.wall:.2f}' for a, b in zip(ours, floor, strict=True))}")
    of_cpu = f"{one.cpu:.2f} and {two.cpu:.2f} of CPU time"
    say(f"{name}: {one.wall:.2f} s, the floor {two.wall:.2f} s ({of_cpu}), {calls} system calls on tree and /proc")
    return one, two


def _each(make: Callable[[int], None], say: Callable[[str], None], name: str) -> float:
    """Seconds by the clock for one account of 50: the least of five means of ten, as the product has five rounds."""
    means = []
    for first in range(0, SAMPLES, SAMPLES // ROUNDS):
        begin = time.monotonic()
        for number in range(first, first + SAMPLES // ROUNDS):
            make(number)
        means.append((time.monotonic() - begin) * ROUNDS / SAMPLES)
    say(f"{name}: {' '.join(f'{mean * 1000:.0f}' for mean in means)} ms an account")
    return min(means)


def _systemctl(number: int) -> None:
    """What the product makes: a slice with the six limits for the account, and two slices below it."""
    name = f"paasbench{number}"
    limits = ["CPUQuota=50%", "CPUWeight=50", "MemoryMax=512M", "MemorySwapMax=0", "TasksMax=100"]
    limits += ["IOReadBandwidthMax=/ 10M", "IOWriteBandwidthMax=/ 10M"]
    subprocess.run(["systemctl", "set-property", "--runtime", f"{name}.slice", *limits], check=True)
    leaves = [f"{name}-login.slice", f"{name}-other.slice"]
    subprocess.run(["systemctl", "start", *leaves], check=True)
    subprocess.run(["systemctl", "set-property", "--runtime", leaves[1], "TasksMax=68"], check=True)
    subprocess.run(["systemctl", "stop", f"{name}.slice", *leaves], check=True, stderr=subprocess.DEVNULL)


def _cgset(where: Place, number: int) -> None:
    """As a script does it: one cgroup after another."""
    for path, limits in _account(number).items():
        subprocess.run(["cgcreate", "-g", f"cpu,io,memory,pids:{path}"], check=True)
        _limit(path, limits)
    _remove(where, number)


def _cgset_at_once(where: Place, number: int) -> None:
    groups = [f"cpu,io,memory,pids:{path}" for path in _account(number)]
    subprocess.run(["cgcreate", *(word for group in groups for word in ("-g", group))], check=True)
    for path, limits in _account(number).items():
        _limit(path, limits)
    _remove(where, number)


def _limit(path: str, limits: list[str]) -> None:
    if limits:
        subprocess.run(["cgset", *(word for limit in limits for word in ("-r", limit)), path], check=True)


def _account(number: int) -> dict[str, list[str]]:
    """The cgroups of an account, with the limits that are not the kernel's defaults."""
    name = f"paasbench{number}"
    limits = ["cpu.max=50000 100000", "cpu.weight=50", "memory.max=536870912", "memory.swap.max=0", "pids.max=100"]
    limits += [f"io.max={_disk()} rbps=10485760 wbps=10485760"]
    return {name: limits, f"{name}/login": [], f"{name}/other": ["pids.max=68"]}


def _remove(where: Place, number: int) -> None:
    for path in reversed(_account(number)):
        (where.hierarchy / path).rmdir()


@cache
def _disk() -> str:
    """The disk that the fleet's homes lie on, MAJOR:MINOR."""
    found = subprocess.run(["findmnt", "-no", "MAJ:MIN", "-T", HOMES], check=True, capture_output=True, text=True)
    return found.stdout.strip()
