"""Quantities as people write them, and as they are shown back. One unit a kind; whoever refuses names it.

Every `parse_*` takes the text of a YAML scalar and returns an exact integer, or raises ValueError with
what was expected ("a size such as 512M").
"""

import re
from decimal import Decimal

CPU_PERIOD = 100_000
"""Microseconds: the period of cpu.max that all our quotas are told in (the kernel's default)."""

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGTP]?)(?:i?B)?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?%", re.ASCII)
_CORES = re.compile(r"\d{1,5}(?:\.\d{1,3})?", re.ASCII)
_COUNT = re.compile(r"\d{1,12}", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

SIZE_LIMIT = 1 << 62
"""Bytes: above this the kernel's page counters mean 'no limit', which must be said in words."""


def parse_size(text: str) -> int:
    """Bytes from `512M`, `1.5G`, `4096`: powers of 1024."""
    if not (found := _SIZE.fullmatch(text)):
        raise ValueError("a size such as 512M")
    size = int(Decimal(found[1]) * 1024 ** _POWERS[found[2]])
    if size >= SIZE_LIMIT:
        raise ValueError("a size below 4096P (or the word unlimited)")
    return size


def parse_percent(text: str) -> Decimal:
    """Percent from `80%` or `12.5%`."""
    if not (found := _PERCENT.fullmatch(text)):
        raise ValueError("a percentage such as 80%")
    return Decimal(found[1])


def parse_cpu(text: str) -> int:
    """Microseconds of CPU time a period of 100 ms, from percent of one core (`150%`) or cores (`1.5`)."""
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
    """The kernel's list format, normalised as it prints it back: `3,0-2` becomes `0-3` (cpuset(7))."""
    return format_cpu_set(expand_cpu_set(text))


def expand_cpu_set(text: str) -> set[int]:
    """`0-2,8` as `{0, 1, 2, 8}`."""
    cores: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = (parse_count(first), parse_count(last if dash else first)) if first else (1, 0)
        if low > high or high > 8191:
            raise ValueError("cores such as 0-3,8")
        cores.update(range(low, high + 1))
    return cores


def format_cpu_set(cores: set[int]) -> str:
    """`{0, 1, 2, 8}` as `0-2,8`."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and core == runs[-1][1] + 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def format_size(size: int) -> str:
    """Bytes as people read them: exact where a power of 1024 divides them, one decimal elsewhere."""
    for unit, power in reversed(_POWERS.items()):
        whole = 1024**power
        if size >= whole:
            return f"{size // whole}{unit}" if size % whole == 0 else f"{size / whole:.1f}{unit}"
    return "0"


def format_cpu(quota: int) -> str:
    """Microseconds a period as percent of one core."""
    return f"{Decimal(quota) * 100 / CPU_PERIOD:.10g}%"


def format_duration(milliseconds: int) -> str:
    """The largest unit that divides it."""
    for unit, size in reversed(_MILLISECONDS.items()):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"
