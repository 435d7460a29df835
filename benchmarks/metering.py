"""What a sample of what accounts use costs, beside a C program that reads the same files; and a bill."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import table
from benchmarks.ground import SOURCE, Place, cgroups

STAGE = Path(__file__).with_name("metering_stage.py")
PROGRAM = Path(__file__).with_name("meter.c")
ACCOUNTS, LEAVES = 10_000, 2
ACTIVE = 1000
"""Accounts of the daemon whose cost is measured: all of them are active all the time."""
ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    what: str
    cost: str
    target: str = ""


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    """Needs root and gcc. RuntimeError with the stage's output where it cannot be measured."""
    say(f"samples of {ACCOUNTS:,} accounts ...")
    accounts = [f"users/a{number}" for number in range(ACCOUNTS)]
    accounts += [f"active/users/a{number}" for number in range(ACTIVE)]
    leaves = [f"{account}/l{number}" for account in accounts for number in range(LEAVES)]
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as place,
        cgroups(where, "metering", "users", "active", "active/users", *accounts, *leaves) as root,
    ):
        program = Path(place) / "meter"
        subprocess.run(["gcc", "-O2", "-o", program, PROGRAM], check=True)
        costs = list(_costs(_stage(where, root, place, program)))
    lines = ((cost.what, cost.cost, cost.target) for cost in costs)
    head = (f"{ACCOUNTS:,} accounts with {LEAVES} leaves each", "cost", "target")
    return table.Report(table.grid(head, lines), {"rows": costs})


def _stage(where: Place, root: Path, place: str, program: Path) -> dict[str, float]:
    line = [str(where.product / "python"), str(STAGE), str(root), place, str(program), str(ROUNDS)]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _costs(figures: dict[str, float]) -> list[Cost]:
    def milliseconds(name: str) -> str:
        return f"{figures[name] * 1000:.0f} ms"

    whole, floor = figures["all"], figures["C"]
    return [
        Cost("a C program reads the same files", f"{floor * 1000:.0f} ms of CPU time"),
        Cost("read and parsed, all active", f"{milliseconds('all')}, {whole / floor:.2f} of C", "at most 1.5 of C"),
        Cost("the same, and added up", milliseconds("all, counted")),
        Cost(
            "read and parsed, 5 % active",
            f"{milliseconds('few')}, {figures['few'] / whole:.2f} of all active",
            "at most 0.1",
        ),
        Cost("read and parsed, none active", milliseconds("none")),
        Cost("written, all active, once a minute", milliseconds("write")),
        *([Cost("one iteration of systemd-cgtop", milliseconds("cgtop"))] if "cgtop" in figures else []),
        Cost(
            f"the daemon, {ACTIVE:,} accounts active all the time",
            f"{figures['daemon']:.2%} of a core",
            "at most 1 %",
        ),
        Cost("the same, in memory", f"{figures['grown'] / (1 << 20):.0f} MB more", "at most 30 MB"),
        Cost("the program begins: what is written is read and compared", milliseconds("begin")),
        Cost("open files", f"{figures['files']:.0f}"),
        Cost("memory of the program", f"{figures['memory'] / 1024:.0f} MB"),
        Cost("a bill of 1,000 accounts for a month of days", milliseconds("bill"), "at most 300 ms"),
        Cost("usage of 1,000 accounts for a month of days", milliseconds("usage"), "at most 300 ms"),
        Cost("the ledger of that month", f"{figures['size'] / (1 << 20):.1f} MB"),
    ]
