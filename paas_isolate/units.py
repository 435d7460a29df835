"""Parses quantities as people write them, and formats them. Each kind has one unit, named in its function.

Every `parse_*` takes the text of a YAML scalar and returns an exact number (parse_cpu_set: a normalised text). It
raises ValueError with what was expected, such as "a size such as 512M".
"""

import re
from collections.abc import Iterable
from decimal import Decimal

CPU_PERIOD = 100_000
"""Microseconds: the period of all our cpu.max quotas, and the kernel's default (cgroup-v2.rst, cpu.max)."""

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGTP]?)(?:i?B)?", re.ASCII)
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([kMGT]?)bit", re.ASCII)
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?%", re.ASCII)
_CORES = re.compile(r"\d{1,5}(?:\.\d{1,3})?", re.ASCII)
_RUN = re.compile(r" *(\d{1,4})(?:-(\d{1,4}))? *", re.ASCII)
_COUNT = re.compile(r"\d{1,12}", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

SIZE_LIMIT = 1 << 62
"""Bytes: from here on the kernel's page counters mean "no limit". Who wants that writes `unlimited`."""


def parse_size(text: str) -> int:
    """Bytes from `512M`, `1.5G`, `4096`: powers of 1024."""
    if not (found := _SIZE.fullmatch(text)):
        raise ValueError("a size such as 512M")
    size = int(Decimal(found[1]) * 1024 ** _POWERS[found[2]])
    if size >= SIZE_LIMIT:
        raise ValueError("a size below 4096P (or the word unlimited)")
    return size


def parse_rate(text: str) -> int:
    """Bits a second from `100Mbit`, `1.5Gbit`, `64kbit`: powers of 1000, as network interfaces are sold."""
    if not (found := _RATE.fullmatch(text)):
        hint = f" (bits; {text} could be bytes)" if _SIZE.fullmatch(text) else ""
        raise ValueError(f"a rate such as 100Mbit{hint}")
    return int(Decimal(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


def parse_percent(text: str) -> Decimal:
    """Percent from `80%` or `12.5%`."""
    if not (found := _PERCENT.fullmatch(text)):
        raise ValueError("a percentage such as 80%")
    return Decimal(found[1])


def parse_cpu(text: str) -> int:
    """Microseconds of CPU time in each period of 100 ms, from percent of one core (`150%`) or cores (`1.5`)."""
    if text.endswith("%"):
        return int(parse_percent(text) * CPU_PERIOD / 100)
    if not _CORES.fullmatch(text):
        raise ValueError("CPU time such as 150% (of one core) or 1.5 (cores)")
    return int(Decimal(text) * CPU_PERIOD)


def parse_count(text: str) -> int:
    """A plain whole number."""
    if not _COUNT.fullmatch(text):
        raise ValueError("a whole number such as 200")
    return int(text)


def parse_duration(text: str) -> int:
    """Milliseconds from `10s`, `500ms`, `2m`, `1h`, `1d`."""
    if not (found := _DURATION.fullmatch(text)):
        raise ValueError("a duration such as 10s")
    return int(Decimal(found[1]) * _MILLISECONDS[found[2]])


def parse_cpu_set(text: str) -> str:
    """A list of cores as the kernel prints it back: `3,0-2` becomes `0-3` (cpuset(7), "List format")."""
    return _list_format(_runs(text))


def cores_without(text: str, others: str) -> str:
    """The cores of `text` that are not in `others`: `0-8` without `0-3` is `4-8`; "" when none is left."""
    left = _runs(text)
    for first, last in _runs(others):
        left = [piece for run in left for piece in _outside(run, first, last)]
    return _list_format(left)


def _outside(run: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    pieces = (run[0], min(run[1], first - 1)), (max(run[0], last + 1), run[1])
    return [(low, high) for low, high in pieces if low <= high]


def _runs(text: str) -> list[tuple[int, int]]:
    """First and last core of each run, sorted, without overlap. Not expanded: hostile text may name many cores."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(map(_run, set(text.split(",")))):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return joined


def _run(part: str) -> tuple[int, int]:
    found = _RUN.fullmatch(part)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if low > high or high > 8191:
        raise ValueError("cores such as 0-3,8")
    return low, high


def _list_format(runs: Iterable[tuple[int, int]]) -> str:
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def format_size(size: int) -> str:
    """Bytes in the largest unit that fits: `512M` when that is exact, else with one decimal (`1.5G`)."""
    for unit, power in reversed(_POWERS.items()):
        whole = 1024**power
        if size >= whole:
            return f"{size // whole}{unit}" if size % whole == 0 else f"{size / whole:.1f}{unit}"
    return "0"


def short_size(size: float) -> str:
    """Bytes in four letters at the most: `512M`, `1.5G`, `23K`."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_LETTERS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_LETTERS[unit]}" if 0 < value < 9.95 and unit else f"{value:.0f}{_LETTERS[unit]}"


_LETTERS = ("", *"KMGTPE")


def format_rate(rate: int) -> str:
    """Bits a second in the largest unit that is not above: `100Mbit`, `1.5Gbit`."""
    for unit, power in (("T", 4), ("G", 3), ("M", 2), ("k", 1)):
        if rate >= 1000**power:
            return f"{Decimal(rate) / 1000**power:.10g}{unit}bit"
    return f"{rate}bit"


def format_cpu(quota: int) -> str:
    """Microseconds in each CPU_PERIOD as percent of one core: `150%`."""
    return f"{Decimal(quota) * 100 / CPU_PERIOD:.10g}%"


def format_duration(milliseconds: int) -> str:
    """Milliseconds in the largest unit that divides them: `90s`, `2m`."""
    for unit, size in reversed(_MILLISECONDS.items()):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"
