"""What the network costs its users: without it, with one account, with all, and with a rule an account by hand.

Every round measures all four in namespaces of its own, so that all meet the same changes of the machine. The best of
each counts: disturbances only ever add. The stage is another program: it runs with the product's Python.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import table
from benchmarks.ground import Place, cgroups

STAGE = Path(__file__).with_name("network_stage.py")
ACCOUNTS = 20_000
ROUNDS = 3


@dataclass(frozen=True)
class Passing:
    """What a customer does, in `unit`: without the network, as the only account, beside all others, and with a rule an
    account. The target is for all to one, or to none where it says so."""

    what: str
    unit: str
    none: float
    one: float
    all: float
    linear: float
    target: str


@dataclass(frozen=True)
class Making:
    """Milliseconds that the product takes, and how many of them in the kernel (None: not measured)."""

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
    ("all of it from nothing", "at most 1000"),
    ("one account more: gate", "kernel: at most 2"),
    ("one account more: ruleset", "kernel: at most 2"),
    ("looked at, nothing to do", ""),
)


def measured(where: Place, accounts: int, say: Callable[[str], None]) -> tuple[list[Passing], list[Making]]:
    """Needs root, BPF and nftables. RuntimeError where the stage fails; its messages are on standard error."""
    with cgroups(where, "net", "users", "users/customer") as root:
        rounds = []
        for number in range(ROUNDS):
            say(f"network: round {number + 1} of {ROUNDS}, {accounts} accounts ...")
            rounds.append(_round(where, root, accounts))
    return _passing(rounds), _making(rounds)


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    passing, making = measured(where, ACCOUNTS, say)
    every = f"{ACCOUNTS:,}"
    head = (
        *(
            "a customer's",
            "without network:",
            "one account:",
            "one / without:",
            f"{every} accounts:",
            f"{every} / one:",
        ),
        *(f"{every} / without:", "a rule each by hand:", "by hand / without:", "target"),
    )
    done = (
        (
            *(row.what, f"{_figure(row.none)} {row.unit}", _figure(row.one), f"{row.one / row.none:.2f}"),
            *(_figure(row.all), f"{row.all / row.one:.2f}", f"{row.all / row.none:.2f}"),
            *(_figure(row.linear), f"{row.linear / row.none:.2f}", row.target),
        )
        for row in passing
    )
    made = (
        (row.what, f"{row.took:.3g}", "" if row.kernel is None else f"{row.kernel:.3g}", row.target) for row in making
    )
    below = table.grid((f"of {every} accounts", "ms:", "in the kernel:", "target"), made)
    return table.Report(f"{table.grid(head, done)}\n\n{below}", {"rows": [*passing, *making]})


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _round(where: Place, root: Path, accounts: int) -> dict[str, dict[str, list[float]]]:
    words = ("unshare", "--net", "--mount", "--propagation", "private", str(where.product / "python3"), str(STAGE))
    done = subprocess.run([*words, str(root), str(accounts)], stdout=subprocess.PIPE, stderr=sys.stderr)
    if done.returncode:
        raise RuntimeError("the network cannot be measured here")
    figures: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return figures


def _passing(rounds: list[dict[str, dict[str, list[float]]]]) -> list[Passing]:
    rows = []
    for what, unit, more, target in ROWS:
        none, one, every, linear = (
            (max if more else min)(figures[kind][what][0] for figures in rounds)
            for kind in ("none", "one", "all", "linear")
        )
        rows.append(Passing(what, unit, none, one, every, linear, target))
    return rows


def _making(rounds: list[dict[str, dict[str, list[float]]]]) -> list[Making]:
    rows = []
    for what, target in MADE:
        took, *kernel = min(figures["made"][what] for figures in rounds)
        rows.append(Making(what, took, kernel[0] if kernel else None, target))
    return rows
