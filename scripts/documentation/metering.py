"""The pictures of top and of a chart in docs/images, from made-up figures."""

import io
import math
import random
import re
from collections.abc import Iterator
from datetime import datetime

from rich.console import Console

from paas_isolate.chart.metrics import METRICS
from paas_isolate.chart.svg import Frame, draw
from paas_isolate.chart.values import Number, Span, Values
from paas_isolate.cli.screen.draw import BLOCKS, HEAD, Summary, accounts_screen, foot, whole
from paas_isolate.cli.screen.state import Shown
from paas_isolate.live.machine import MachineUse
from paas_isolate.live.rates import CgroupLimits, Row, ordered
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels

MB, GB = 1 << 20, 1 << 30
WIDTH, HEIGHT = 100, 18
_BEGIN = 1_790_028_000_000  # 2026-09-22T00:00 in Berlin
_STEP = 300_000
_OF_DAY = 288
_PLANS = {
    "small": CgroupLimits(cpu=0.5, memory=512 * MB, pids=100),
    "medium": CgroupLimits(cpu=1.0, memory=GB, pids=200),
    "large": CgroupLimits(cpu=2.0, memory=4 * GB, pids=400),
    "": CgroupLimits(),
}
_ACCOUNTS = (
    # name, plan, cores, memory, own, processes, read, written, waited, faults
    ("alice", "medium", 0.99, 713, 402, 61, 1.2e6, 3.4e5, 0.31, 0),
    ("garden-shop", "large", 0.84, 2380, 1700, 112, 8.8e6, 1.1e6, 0.06, 0),
    ("bob", "small", 0.47, 505, 489, 38, 2.6e6, 9.0e5, 0.44, 12),
    ("carol", "medium", 0.31, 420, 250, 44, 3.1e5, 1.2e5, 0.03, 0),
    ("intranet", "", 0.22, 1900, 1520, 96, 4.0e5, 2.2e6, 0.02, 0),
    ("dora", "small", 0.16, 210, 120, 19, 0.0, 4.1e4, 0.01, 0),
    ("choir", "small", 0.05, 498, 140, 11, 0.0, 8.2e3, 0.0, 1),
    ("erin", "medium", 0.02, 96, 60, 9, 0.0, 0.0, 0.0, 0),
    ("frank", "small", 0.0, 31, 22, 3, 0.0, 0.0, 0.0, 0),
    ("museum", "large", 0.0, 180, 64, 7, 0.0, 0.0, 0.0, 0),
    ("surf-club", "small", 0.0, 12, 9, 2, 0.0, 0.0, 0.0, 0),
)


def top() -> str:
    """An SVG of a terminal in which top runs."""
    rows = ordered(_rows(), "cpu")
    use = MachineUse(4, 0.765, 11 * GB, 32 * GB, 0.09, 0.0, 0.02)
    summary = Summary(datetime(2026, 9, 22, 14, 3, 22), use, len(rows), 8, True)
    screen = accounts_screen(summary, Shown(), rows, 1, WIDTH, BLOCKS)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(whole(screen, HEAD + len(rows), HEIGHT, foot(False, WIDTH, BLOCKS)))
    drawn = console.export_svg(title="paas-isolate top", unique_id="top")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # fonts from somebody else's server


def _rows() -> Iterator[Row]:
    for name, plan, cpu, memory, own, pids, read, written, waited, faults in _ACCOUNTS:
        rates = Rates(cpu, 0.0, read, written, waited, 0.0, 0.0)
        levels = Levels(memory=memory * MB, own=own * MB, pids=pids)
        yield Row(name, name, rates, levels, faults, _PLANS[plan])


def chart() -> str:
    """An SVG of what an account used in a day, in which it met its limit of CPU, and the daemon was stopped."""
    chance = random.Random(7)  # noqa: S311  (a picture)
    span = Span(_BEGIN, _BEGIN + _OF_DAY * _STEP, _STEP)
    wanted = [_load(step) * chance.uniform(0.85, 1.15) for step in range(_OF_DAY)]
    used: list[Number] = [min(1.0, load) for load in wanted]
    throttled: list[Number] = [max(0.0, load - 1.0) for load in wanted]
    memory: list[Number] = [(300 + 380 * min(1.0, load) + chance.uniform(0, 25)) * MB for load in wanted]
    for curve in (used, throttled, memory):
        curve[62:71] = [None] * 9
    values = [
        Values(METRICS["cpu"], span, {"used": used, "throttled": throttled}),
        Values(METRICS["memory"], span, {"with cache": memory}),
    ]
    berlin = Calendar("Europe/Berlin")
    frame = Frame(span.begin, span.end, {"cpu": 1.0, "memory": float(GB)}, berlin)
    return draw("alice", "Tue 22 Sep 2026 00:00 to Wed 23 Sep 2026 00:00, Europe/Berlin", values, frame)


def _load(step: int) -> float:
    """Cores that the account would use without a limit: little at night, and more than it may at noon."""
    hour = step / 12
    return 0.12 + 0.6 * math.exp(-(((hour - 13.5) / 4) ** 2)) + 0.55 * math.exp(-(((hour - 12.5) / 0.9) ** 2))
