"""From knobs to limits, and the rows that are made of rates and limits. Pure.

None is unknown or unlimited, and never 0: there is no share of a limit that does not exist.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels, cores_of, number

LIMIT_KNOBS = ("cpu.max", "memory.max", "memory.high", "pids.max", "io.max")


class CgroupLimits(NamedTuple):
    """The limits of one cgroup: `cpu` in cores, `memory` in bytes, `read` and `written` in bytes a second. None: it has
    none of its own."""

    cpu: float | None = None
    memory: int | None = None
    pids: int | None = None
    read: int | None = None
    written: int | None = None


def limits_of(knobs: Mapping[str, str]) -> CgroupLimits:
    """The limits in the text of LIMIT_KNOBS. Memory is memory.max, or memory.high where that is lower."""
    memory = [size for name in ("memory.max", "memory.high") if (size := number(knobs.get(name))) is not None]
    io = dict(word.partition("=")[::2] for word in knobs.get("io.max", "").split())
    return CgroupLimits(
        cpu=cores_of(knobs.get("cpu.max", "")),
        memory=min(memory, default=None),
        pids=number(knobs.get("pids.max")),
        read=number(io.get("rbps")),
        written=number(io.get("wbps")),
    )


class Row(NamedTuple):
    """An account (`alice` as path) or a leaf (`alice/web`). `name` is the account's, which its directory may differ
    from. `faults` are processes that were killed for memory and forks that were refused, lately; None: unknown."""

    path: str
    name: str
    rates: Rates
    levels: Levels
    faults: int | None = None
    limits: CgroupLimits = CgroupLimits()

    @property
    def leaf(self) -> str:
        """'' for an account."""
        return self.path.partition("/")[2]


ORDERS: dict[str, Callable[[Row], float | None]] = {
    "cpu": lambda row: row.rates.cpu,
    "memory": lambda row: row.levels.memory,
    "processes": lambda row: row.levels.pids,
    "io": lambda row: _sum(row.rates.read, row.rates.written),
    "pressure": lambda row: row.rates.wait,
    "faults": lambda row: row.faults,
}
NAME = "name"
"""The other order, which is that of the alphabet."""


def ordered(rows: Iterable[Row], by: str, *, reverse: bool = False) -> list[Row]:
    """Rows sorted by one of ORDERS, the highest first and unknown ones last, or by NAME. `reverse` turns that round."""
    by_name = sorted(rows, key=lambda row: row.name, reverse=reverse)
    if by == NAME:
        return by_name
    value_of = ORDERS[by]

    def rank(row: Row) -> float:
        value = value_of(row)
        return -1.0 if value is None else value

    return sorted(by_name, key=rank, reverse=not reverse)


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other


def of_limit(use: float | None, limit: float | None) -> float | None:
    """The share of the limit that is used; None without a limit, or with a limit of 0."""
    return use / limit if use is not None and limit else None


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON has it."""
    rates, levels, limits = row.rates, row.levels, row.limits
    return {
        "account": row.name,
        "leaf": row.leaf,
        "cpu_cores": rates.cpu,
        "cpu_limit": limits.cpu,
        "cpu_of_limit": of_limit(rates.cpu, limits.cpu),
        "throttled": rates.throttled,
        "memory": levels.memory,
        "own_memory": levels.own,
        "memory_limit": limits.memory,
        "memory_of_limit": of_limit(levels.memory, limits.memory),
        "swap": levels.swap,
        "pids": levels.pids,
        "pids_limit": limits.pids,
        "pids_of_limit": of_limit(levels.pids, limits.pids),
        "read_per_second": rates.read,
        "read_limit": limits.read,
        "written_per_second": rates.written,
        "write_limit": limits.written,
        "cpu_pressure": rates.cpu_wait,
        "memory_pressure": rates.memory_wait,
        "io_pressure": rates.io_wait,
        "faults": row.faults,
    }
