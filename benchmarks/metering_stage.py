"""Measures samples and a bill, and prints seconds of CPU time as JSON.

usage: metering_stage.py ROOT PLACE PROGRAM ROUNDS
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from paas_isolate.ledger.database import NAME, reading
from paas_isolate.ledger.queries import Question, totals
from paas_isolate.ledger.writer import LedgerWriter, Owner
from paas_isolate.linux.cgroup.sampler import Sampler
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.metering import bill, report
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.reading import FAST, Counters, Levels, Reading
from paas_isolate.metering.tally import Moment, Tally

BEGIN = 1_790_812_800_000  # 2026-10-01T00:00Z
DAY = 86_400_000
FEW = 20
"""One account in so many is active: 5 %."""


class Clock:
    """Samples ten seconds apart, without waiting for them."""

    def __init__(self) -> None:
        self.at = 0

    def next(self) -> Moment:
        self.at += 10_000
        return Moment(self.at, BEGIN + self.at)


def owner(path: str) -> Owner:
    directory, _, leaf = path.partition("/")
    return Owner(directory, leaf, "small")


def spent(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def stir(root: Path, every: int) -> None:
    """Use some CPU time in the leaves of every so many accounts: this process goes through them."""
    home = Path("/proc/self/cgroup").read_text().partition("0::")[2].split("\n")[0]
    leaves = [path for number, path in enumerate(sorted(root.glob("users/a*"))) if not number % every]
    for account in leaves:
        for leaf in account.iterdir():
            if leaf.is_dir():
                (leaf / "cgroup.procs").write_text("0")
                sum(range(2000))
    Path(f"{cgroup2().point.rstrip('/')}{home}/cgroup.procs").write_text("0")


def samples(root: Path, place: Path, program: str, rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {"C": [], "all": [], "all, counted": [], "few": [], "none": [], "write": []}
    clock, calendar = Clock(), Calendar("UTC")
    writer = LedgerWriter(str(place / "samples"), 1 << 40, print)
    with Sampler(str(root / "users"), lambda _: "", {}) as sampler:
        tally = Tally(calendar)

        def taken(name: str) -> None:
            begin = time.process_time()
            readings, gone = sampler.sample(slow=False)
            read = time.process_time()
            now = clock.next()
            tally.take(now, readings, gone)
            if name:
                found[name].append(read - begin)
            if name == "all":
                found["all, counted"].append(time.process_time() - begin)
                write = spent(lambda: writer.write("b", now, "UTC", tally.unwritten(), owner, {}, tally.times))
                found["write"].append(write)
                tally.wrote()

        taken("")
        for name, every in (("all", 1), ("few", FEW), ("none", 0)):
            for turn in range(rounds + 1):
                if name == "all":  # the kernel adds up its counters for who reads them first
                    stir(root, 1)
                    words = [program, str(root / "users"), "1", *FAST]
                    done = subprocess.run(words, check=True, capture_output=True, text=True)
                    found["C"].append(int(done.stdout.split()[0]) / 1e9)
                if every:
                    stir(root, every)
                taken(name if turn else "")  # in the first round files are opened
            if name == "all":
                files = len(os.listdir("/proc/self/fd"))
    writer.close()
    figures = {name: min(values) for name, values in found.items()}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **figures,
        "files": files,
        "memory": memory,
        "begin": spent(lambda: begun(root, place, calendar, clock.next())),
    }


def begun(root: Path, place: Path, calendar: Calendar, now: Moment) -> None:
    writer = LedgerWriter(str(place / "samples"), 1 << 40, print)
    written = writer.read()
    assert written is not None
    tally = Tally(calendar, written.bases, written.sampled)
    known = {base.path: base.counters for base in tally.bases()}
    with Sampler(str(root / "users"), lambda _: "", known) as sampler:
        tally.forget(sampler.missing((base.path, base.inode) for base in tally.bases()))
        tally.take(now, *sampler.sample(slow=False))
    writer.close()


def minutes(root: Path, place: Path) -> dict[str, float]:
    """What the daemon spends on accounts that are active all the time, as a share of one core: two minutes of samples
    and writings, after one in which files are opened; and the bytes by which the process has grown."""
    before = psutil.Process().memory_info().rss
    clock, tally = Clock(), Tally(Calendar("UTC"))
    writer = LedgerWriter(str(place / "minutes"), 1 << 40, print)
    found = 0.0
    with Sampler(str(root / "users"), lambda _: "", {}) as sampler:

        def sampled(turn: int) -> None:
            readings, gone = sampler.sample(slow=not turn % 6)
            now = clock.next()
            tally.take(now, readings, gone)
            if not turn % 6:
                writer.write("b", now, "UTC", tally.unwritten(), owner, {}, tally.times)
                tally.wrote()
            writer.tidy(now)

        for turn in range(18):
            stir(root, 1)
            seconds = spent(lambda turn=turn: sampled(turn))  # type: ignore[misc]
            found += seconds if turn >= 6 else 0
    writer.close()
    return {"daemon": found / 120, "grown": psutil.Process().memory_info().rss - before}


def cgtop(root: Path) -> dict[str, float]:
    """One iteration of systemd-cgtop over the same cgroups; nothing where it is not installed or does not see them."""
    if not shutil.which("systemd-cgtop"):
        return {}
    group = f"/{root.relative_to(cgroup2().point)}"
    words = ["systemd-cgtop", "--batch", "--iterations=1", "--depth=9", "--order=path", group]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if f"{group}/users/a1" not in done.stdout:
        return {}
    return {"cgtop": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def month(place: Path) -> dict[str, float]:
    """A bill for a month in which 1,000 accounts with two leaves each did something every day."""
    calendar = Calendar("UTC")
    tally = Tally(calendar)
    paths = [f"a{number}{leaf}" for number in range(1000) for leaf in ("", "/web", "/login")]
    writer = LedgerWriter(str(place / "month"), 1 << 40, print)
    for day in range(31):
        for second in (0, 10):
            counters = Counters(*[day * 1000 + second] * len(Counters._fields))
            levels = Levels(1 << 28, 0, 7, 1 << 29, 1 << 27)
            now = Moment(day * DAY + second * 1000, BEGIN + day * DAY + second * 1000)
            tally.take(now, [Reading(path, day, counters, levels) for path in paths])  # made anew each day: no gap
            writer.write("b", now, "UTC", tally.unwritten(), owner, {}, ())
            tally.wrote()
        for _ in range(60):
            writer.tidy(now)
    writer.close()

    def asked() -> None:
        with reading(str(place / "month")) as connection:
            found = totals(connection, Question("day", "2026-10-01", "2026-10-31"), calendar)
        assert (
            len([bill.line(each.account, each.plan, each.use, 31 * 86_400, {"core_hour": "1"}) for each in found])
            == 1000
        )

    def used() -> None:
        with reading(str(place / "month")) as connection:
            found = totals(connection, Question("day", "2026-10-01", "2026-10-31"), calendar)
        assert len([report.plain(each.use) for each in found]) == 1000

    size = (place / "month" / NAME).stat().st_size
    return {"bill": min(spent(asked) for _ in range(3)), "usage": min(spent(used) for _ in range(3)), "size": size}


if __name__ == "__main__":
    root, place, program, rounds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    figures = minutes(root / "active", place)  # first: what the others have left would hide what this one needs
    print(json.dumps(figures | samples(root, place, program, rounds) | cgtop(root) | month(place)))
