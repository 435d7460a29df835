"""What the network costs its users, beside a host that has none: for the only account, and beside all others; where
nothing needs NAT and where a port is published; without a firewall of the host and with one.

Every round has namespaces of its own. The stage is another program: it runs with the product's Python.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import table
from benchmarks.ground import Place, cgroups

STAGE = Path(__file__).with_name("network_stage.py")
PACKETS = Path(__file__).with_name("network_packets.c")
ACCOUNTS = 20_000
ROUNDS = 3


@dataclass(frozen=True)
class Passing:
    """What a customer does, in `unit`, without the network; `ratios` to that, by column. IPv4 and IPv6."""

    what: str
    unit: str
    none: tuple[float, float]
    ratios: dict[str, tuple[float, float]]
    target: str


@dataclass(frozen=True)
class Making:
    """Milliseconds that the product takes, and how many of them in the kernel (None: not measured)."""

    what: str
    took: float
    kernel: float | None
    target: str


@dataclass(frozen=True)
class Unit:
    """`rate` is that of an act that takes a nanosecond. None: the figure is the act's microseconds."""

    name: str
    rate: float | None = None

    def figure(self, nanoseconds: float) -> float:
        return self.rate / nanoseconds if self.rate else nanoseconds / 1e3

    def ratio(self, of_times: float) -> float:
        return 1 / of_times if self.rate else of_times


LEAST = "at least 0.95, with NAT 0.87"
TIME, RATE = Unit("µs"), Unit("/s", 1e9)
ACTS = {
    "bind": ("bind of the own address", TIME, ""),
    "localhost": ("bind of localhost", TIME, ""),
    "connect": ("connect, accept, close", TIME, "at most 1.08"),
    "short": ("connect, one request, close", TIME, ""),
    "requests": ("requests on one connection", RATE, LEAST),
    "bulk": ("bulk", Unit("MB/s", 32768e3), LEAST),
    "udp": ("UDP request and answer", RATE, ""),
}
"""By the names of network_packets.c: what it is, its unit and the target."""
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
    """Needs root, BPF, nftables and gcc. RuntimeError where the stage fails; its messages are on standard error."""
    paths = ("bare", "tree", "tree/users", "tree/users/customer")
    with tempfile.TemporaryDirectory() as directory, cgroups(where, "net", *paths) as root:
        program = Path(directory) / "packets"
        subprocess.run(["gcc", "-O2", "-o", program, PACKETS], check=True)
        rounds = []
        for number in range(ROUNDS):
            say(f"network: round {number + 1} of {ROUNDS}, {accounts} accounts, two minutes ...")
            rounds.append(_round(where, root, accounts, program))
    return _passing(rounds), _making(rounds)


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    passing, making = measured(where, ACCOUNTS, say)
    columns = list(passing[0].ratios)
    head = ("a customer's, IPv4 and IPv6", "without network:", *(f"{column}:" for column in columns), "target")
    done = (
        (
            *(row.what, f"{_both(row.none, _figure)} {row.unit}"),
            *(_both(row.ratios[column], "{:.2f}".format) if column in row.ratios else "" for column in columns),
            row.target,
        )
        for row in passing
    )
    made = (
        (row.what, f"{row.took:.3g}", "" if row.kernel is None else f"{row.kernel:.3g}", row.target) for row in making
    )
    below = table.grid((f"of {ACCOUNTS:,} accounts", "ms:", "in the kernel:", "target"), made)
    return table.Report(f"{table.grid(head, done)}\n\n{below}", {"rows": [*passing, *making]})


def _both(pair: tuple[float, float], text: Callable[[float], str]) -> str:
    return " / ".join(map(text, pair))


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _round(where: Place, root: Path, accounts: int, program: Path) -> dict[str, Any]:
    words = ("unshare", "--net", "--mount", "--propagation", "private", str(where.product / "python3"), str(STAGE))
    done = subprocess.run([*words, root, str(accounts), program], stdout=subprocess.PIPE, stderr=sys.stderr)
    if done.returncode:
        raise RuntimeError("the network cannot be measured here")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _passing(rounds: list[dict[str, Any]]) -> list[Passing]:
    """The medians of the rounds."""
    rows = []
    for key, columns in rounds[0]["acts"].items():
        path, _, act = key.rpartition(": ")
        what, unit, target = ACTS[act]
        middles = {
            column: [median(of) for of in zip(*(each["acts"][key][column] for each in rounds), strict=True)]
            for column in columns
        }
        none4, _, none6, _ = next(iter(middles.values()))
        ratios = {column: (unit.ratio(of[1]), unit.ratio(of[3])) for column, of in middles.items()}
        none = unit.figure(none4), unit.figure(none6)
        rows.append(Passing(f"{path}: {what}" if path else what, unit.name, none, ratios, target))
    return rows


def _making(rounds: list[dict[str, Any]]) -> list[Making]:
    """The best of the rounds: disturbances only ever add."""
    rows = []
    for what, target in MADE:
        took, *kernel = min(each["made"][what] for each in rounds)
        rows.append(Making(what, took, kernel[0] if kernel else None, target))
    return rows
