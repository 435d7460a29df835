"""What the network costs its users: nothing of ours, ours with one account, with all, and a rule an account by hand.

Every round measures all of them in namespaces of its own, so that a machine that drifts drifts for all; the best of
each counts, for what disturbs only ever costs. The stage is another program: it runs with the product's Python.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import Place

STAGE = Path(__file__).with_name("network_stage.py")
ACCOUNTS = 20_000
ROUNDS = 3


@dataclass(frozen=True)
class Passing:
    """What a customer does, in `unit`: without us, as the only account, beside all others, and beside linear rules.
    The target is of all to one, or to none where it says so."""

    what: str
    unit: str
    none: float
    one: float
    all: float
    linear: float
    target: str


@dataclass(frozen=True)
class Making:
    """Milliseconds that the product takes, and how much of it in the kernel (None: not told apart)."""

    what: str
    took: float
    kernel: float | None
    target: str


ROWS = (
    ("bind of the own address", "µs", False, "without network: within noise"),
    ("bind of localhost", "µs", False, "without network: within noise"),
    ("connect, accept, close", "µs", False, "of one: at most 1.01"),
    ("requests on one connection", "/s", True, "of one: at least 0.99"),
    ("bulk", "MB/s", True, "of one: at least 0.99"),
)
MADE = (
    ("addresses", ""),
    ("ruleset", ""),
    ("gate", ""),
    ("all of it from nothing", "at most 2000"),
    ("one account more: gate", "kernel: at most 2"),
    ("one account more: ruleset", "kernel: at most 2"),
    ("one account more: addresses", "kernel: at most 2"),
    ("looked at, nothing to do", ""),
)


def measured(where: Place, accounts: int, say: Callable[[str], None]) -> tuple[list[Passing], list[Making]]:
    """Needs root, BPF and nftables. RuntimeError with the stage's words when it cannot be measured here."""
    root = where.hierarchy / f"paas-bench-net-{os.getpid()}"
    (root / "users/customer").mkdir(parents=True)
    try:
        rounds = []
        for number in range(ROUNDS):
            say(f"network: round {number + 1} of {ROUNDS}, {accounts} accounts ...")
            rounds.append(_round(where, root, accounts))
    finally:
        for path in ("users/customer", "users", "."):
            (root / path).rmdir()
    return _passing(rounds), _making(rounds)


def markdown(passing: list[Passing], making: list[Making], accounts: int) -> str:
    lines = [
        f"| a customer's | without network | one account | one / without | {accounts:,} accounts "
        f"| {accounts:,} / one | {accounts:,} / without | a rule each by hand | by hand / without | target |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for it in passing:
        each = (
            f"{_figure(it.none)} {it.unit} | {_figure(it.one)} | {it.one / it.none:.2f}",
            f"{_figure(it.all)} | {it.all / it.one:.2f} | {it.all / it.none:.2f}",
            f"{_figure(it.linear)} | {it.linear / it.none:.2f}",
        )
        lines.append(f"| {it.what} | {' | '.join(each)} | {it.target} |")
    lines += ["", f"| of {accounts:,} accounts | ms | in the kernel | target |", "| --- | ---: | ---: | --- |"]
    for made in making:
        kernel = "" if made.kernel is None else f"{made.kernel:.3g}"
        lines.append(f"| {made.what} | {made.took:.3g} | {kernel} | {made.target} |")
    return "\n".join(lines)


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _round(where: Place, root: Path, accounts: int) -> dict[str, dict[str, list[float]]]:
    words = ("unshare", "--net", "--mount", "--propagation", "private", str(where.product / "python"), str(STAGE))
    done = subprocess.run([*words, str(root), str(accounts)], stdout=subprocess.PIPE, stderr=sys.stderr)
    if done.returncode:
        raise RuntimeError("the network cannot be measured here")
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return found


def _passing(rounds: list[dict[str, dict[str, list[float]]]]) -> list[Passing]:
    rows = []
    for what, unit, more, target in ROWS:
        none, one, every, linear = (
            (max if more else min)(it[kind][what][0] for it in rounds) for kind in ("none", "one", "all", "linear")
        )
        rows.append(Passing(what, unit, none, one, every, linear, target))
    return rows


def _making(rounds: list[dict[str, dict[str, list[float]]]]) -> list[Making]:
    rows = []
    for what, target in MADE:
        took, *kernel = min(it["made"][what] for it in rounds)
        rows.append(Making(what, took, kernel[0] if kernel else None, target))
    return rows
