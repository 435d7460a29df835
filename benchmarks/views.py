"""What views cost: each account, each login, and each mount of the host, which the kernel propagates to all views."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import table
from benchmarks.ground import SOURCE, Place, cgroups

STAGE = Path(__file__).with_name("views_stage.py")
ENTER = Path(__file__).with_name("enter.c")
VIEW = SOURCE / "pam" / "common" / "view.c"
ACCOUNTS = 1000


@dataclass(frozen=True)
class Cost:
    what: str
    cost: str
    target: str = ""


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    """Needs root and gcc. RuntimeError with the stage's output where it cannot be measured."""
    say(f"views of {ACCOUNTS} accounts ...")
    accounts = ("users", *(f"users/a{number}" for number in range(ACCOUNTS)))
    with tempfile.TemporaryDirectory(dir="/var/lib") as place, cgroups(where, "views", *accounts) as root:
        program = Path(place) / "enter"
        subprocess.run(["gcc", "-O2", "-o", program, ENTER, VIEW], check=True)
        costs = list(_costs(_stage(where, root, place, program), ACCOUNTS))
    lines = ((cost.what, cost.cost, cost.target) for cost in costs)
    return table.Report(table.grid((f"{ACCOUNTS:,} views", "cost", "target"), lines), {"rows": costs})


def _stage(where: Place, root: Path, place: str, program: Path) -> dict[str, float]:
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --make-rshared / && exec "$@"', "sh"]
    line = [*own, str(where.product / "python3"), str(STAGE), str(root), place, str(program), str(ACCOUNTS)]
    path = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(line, capture_output=True, text=True, env=path)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _costs(figures: dict[str, float], accounts: int) -> list[Cost]:
    each = 1000 / accounts
    return [
        Cost("a view made, each of all", f"{figures['make'] * each:.2f} ms"),
        Cost("a view made, one alone", f"{figures['one more'] * 1000:.1f} ms"),
        Cost("all looked at", f"{figures['look'] * 1000:.0f} ms"),
        Cost("a view taken away, each of all", f"{figures['remove'] * each:.2f} ms"),
        Cost("memory of a view", f"{figures['memory'] / 1024:.0f} KiB"),
        Cost("more mounts on the host", f"{figures['mounts']:.0f}", "2, however many accounts"),
        Cost("mounts left when all are gone", f"{figures['left']:.0f}", "0"),
        Cost("a login enters its view", f"{figures['enter']:.0f} µs", "at most 1000 µs"),
        Cost("a login that has none asks", f"{figures['enter, none']:.1f} µs"),
        Cost(
            "the host mounts and unmounts something",
            f"{figures['mounting'] * 1000:.1f} ms ({figures['mounting, none'] * 1000:.1f} ms without views)",
        ),
    ]
