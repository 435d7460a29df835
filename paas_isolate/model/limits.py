"""The one table of limits: name, unit, range, and the kernel's knob that enforces it.

Parser, schema, merge, knobs and status use this table. A new limit is one entry here, and its text in model/knobs.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Unlimited(Enum):
    """An explicit `no limit` (`unlimited`, `max`, `infinity`). It is not the same as a missing key, which inherits."""

    UNLIMITED = "unlimited"

    def __str__(self) -> str:
        return self.value


UNLIMITED = Unlimited.UNLIMITED


class Cores(int):
    """CPU time that was written as a bare number of cores. More than the machine has is a mistake (150 for 150%)."""


class Percent(NamedTuple):
    """A percentage. What it is a share of, Limit.percent_of says."""

    of_hundred: Decimal

    def __str__(self) -> str:
        return f"{self.of_hundred:f}%"


Value = int | str | Percent | Unlimited
"""int in the limit's unit (a rate: bits a second); str for cpu.set, memory.kill and io.of."""

Limits = Mapping[str, Value]
"""Values by the limit's name (`memory.max`), from one place of the YAML or merged. A missing name sets nothing."""

NO_LIMITS: Limits = MappingProxyType({})


class Unit(StrEnum):
    """How a limit is written. The text is what a complaint says was expected."""

    CPU_TIME = "CPU time such as 150% (of one core) or 1.5 (cores)"
    CORES = "cores such as 0-3,8"
    WEIGHT = "a weight from 1 to 10000"
    SIZE = "a size such as 512M"
    RATE = "a rate such as 100Mbit"
    COUNT = "a whole number such as 200"
    KILL = "leaf or process"
    PATH = "an absolute path or ~/PATH"


class Limit(NamedTuple):
    """One limit. `least` and `most` bound the parsed integer (`most` 0: no bound). `unlimited`: `max` may be
    written."""

    name: str
    knob: str
    unit: Unit
    meaning: str
    least: int = 0
    unlimited: bool = True
    most: int = 0
    percent_of: str = ""
    """What a percentage is a share of; '' where no percentage may be written."""

    @property
    def controller(self) -> str:
        """The cgroup v2 controller that enforces it: `memory`, or `cpuset` for `cpuset.cpus`."""
        return self.knob.partition(".")[0]


_SELF = "the effective memory.max"
_DEVICE = "the path whose device the io limits are for (default: the owner's home)"
_SENT = "bits a second sent to other machines (accounts only)"
_RECEIVED = "bits a second received from other machines (accounts only)"
_FASTEST = 100 * 1000**3
"""Bits a second. The kernel multiplies bytes a second by 10^9 in 64 bits (net/netfilter/nft_limit.c)."""

_PIDS = 1 << 22
"""PID_MAX_LIMIT of a 64-bit kernel: pids.max refuses more (kernel/cgroup/pids.c)."""
_OPERATIONS = (1 << 32) - 2
"""The kernel reads 2^32 - 1 and more as `max`, and refuses 1 (block/blk-throttle.c, tg_set_limit)."""

# fmt: off  (a table is read as a table)
LIMITS: tuple[Limit, ...] = (
    Limit("cpu.max", "cpu.max", Unit.CPU_TIME, "CPU time", least=1_000),
    Limit(
        "cpu.weight",
        "cpu.weight",
        Unit.WEIGHT,
        "share when the machine is busy; 100 is normal",
        least=1,
        unlimited=False,
    ),
    Limit(
        "cpu.burst",
        "cpu.max.burst",
        Unit.CPU_TIME,
        "unused CPU time that may be spent later",
        unlimited=False,
    ),
    Limit("cpu.set", "cpuset.cpus", Unit.CORES, "the cores it may run on"),
    Limit(
        "memory.max",
        "memory.max",
        Unit.SIZE,
        "memory",
        least=1 << 20,
        percent_of="the account's (services only)",
    ),
    Limit("memory.high", "memory.high", Unit.SIZE, "slowed down from here on", least=1 << 20, percent_of=_SELF),
    Limit("memory.low", "memory.low", Unit.SIZE, "protected up to here", unlimited=False, percent_of=_SELF),
    Limit("memory.min", "memory.min", Unit.SIZE, "guaranteed", unlimited=False, percent_of=_SELF),
    Limit("memory.swap", "memory.swap.max", Unit.SIZE, "swap on top of the memory"),
    Limit("memory.kill", "memory.oom.group", Unit.KILL, "what dies when memory is out", unlimited=False),
    Limit("pids", "pids.max", Unit.COUNT, "processes and threads", least=1, most=_PIDS),
    Limit("io.read", "io.max", Unit.SIZE, "bytes read a second", least=4096),
    Limit("io.write", "io.max", Unit.SIZE, "bytes written a second", least=4096),
    Limit("io.read_ops", "io.max", Unit.COUNT, "read operations a second", least=2, most=_OPERATIONS),
    Limit("io.write_ops", "io.max", Unit.COUNT, "write operations a second", least=2, most=_OPERATIONS),
    Limit(
        "io.weight",
        "io.weight",
        Unit.WEIGHT,
        "share when the disk is busy; 100 is normal",
        least=1,
        unlimited=False,
    ),
    Limit("io.of", "io.max", Unit.PATH, _DEVICE, unlimited=False),
    Limit("network.out", "tc-htb(8)", Unit.RATE, _SENT, least=8000, most=_FASTEST),
    Limit("network.in", "nft(8) limit", Unit.RATE, _RECEIVED, least=8000, most=_FASTEST),
)
# fmt: on

BY_NAME: Mapping[str, Limit] = {limit.name: limit for limit in LIMITS}

SHORT: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu.max",),
    "memory": ("memory.max",),
    "io": ("io.read", "io.write"),
}
"""The limits that a bare value of a group sets (`memory: 4G` sets memory.max alone)."""
