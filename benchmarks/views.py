"""What views cost: each account, each login, and each mount of the host, which is handed on to all of them."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import Place

STAGE = Path(__file__).with_name("views_stage.py")
ENTER = Path(__file__).with_name("enter.c")
VIEW = Path(__file__).parents[1] / "pam" / "common" / "view.c"
ACCOUNTS = 1000


@dataclass(frozen=True)
class Cost:
    what: str
    cost: str
    target: str = ""


def measured(where: Place, accounts: int, say: Callable[[str], None]) -> list[Cost]:
    """Needs root and gcc. RuntimeError with the stage's words when it cannot be measured here."""
    say(f"views of {accounts} accounts ...")
    root = where.hierarchy / f"paas-bench-views-{os.getpid()}"
    paths = [root / "users" / f"a{number}" for number in range(accounts)]
    with tempfile.TemporaryDirectory(dir="/var/lib") as place:
        program = Path(place) / "enter"
        subprocess.run(["gcc", "-O2", "-o", program, ENTER, VIEW], check=True)
        for path in (root, root / "users", *paths):
            path.mkdir()
        try:
            found = _stage(where, root, place, program, accounts)
        finally:
            for path in (*paths, root / "users", root):
                path.rmdir()
    return list(_costs(found, accounts))


def _stage(where: Place, root: Path, place: str, program: Path, accounts: int) -> dict[str, float]:
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --make-rshared / && exec "$@"', "sh"]
    line = [*own, str(where.product / "python"), str(STAGE), str(root), place, str(program), str(accounts)]
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(line, capture_output=True, text=True, env=path)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _costs(found: dict[str, float], accounts: int) -> list[Cost]:
    each = 1000 / accounts
    return [
        Cost("a view made, each of all", f"{found['make'] * each:.2f} ms"),
        Cost("a view made, one alone", f"{found['one more'] * 1000:.1f} ms"),
        Cost("all looked at", f"{found['look'] * 1000:.0f} ms"),
        Cost("a view taken away, each of all", f"{found['remove'] * each:.2f} ms"),
        Cost("memory of a view", f"{found['memory'] / 1024:.0f} KiB"),
        Cost("more mounts on the host", f"{found['mounts']:.0f}", "2, however many accounts"),
        Cost("mounts left when all are gone", f"{found['left']:.0f}", "0"),
        Cost("a login enters its view", f"{found['enter']:.0f} µs", "at most 1000 µs"),
        Cost("a login that has none asks", f"{found['enter, none']:.1f} µs"),
        Cost(
            "the host mounts and unmounts something",
            f"{found['mounting'] * 1000:.1f} ms ({found['mounting, none'] * 1000:.1f} ms without views)",
        ),
    ]


def markdown(costs: list[Cost], accounts: int) -> str:
    head = [f"| {accounts:,} views | cost | target |", "| --- | --- | --- |"]
    return "\n".join((*head, *(f"| {it.what} | {it.cost} | {it.target} |" for it in costs)))
