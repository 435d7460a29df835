"""Faults: limits that were hit, told apart by kind and by the level that the limit belongs to. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.metering.reading import Number

JOINED = 300_000
"""Milliseconds: a fault that comes no later after another one belongs to the same incident."""
PICTURES = 10
"""Pictures of one incident, at most."""
RECENT = 30.0
"""Seconds that a picture goes back."""
KILLED, ENDED = "killed", "ended"
"""States of a process that is gone: the kernel has killed it, or it had ended before the last sample."""


class Kind(StrEnum):
    """What happened."""

    KILLED = "killed"
    SLOWED = "slowed"
    REFUSED = "refused"
    THROTTLED = "throttled"
    WAITED = "waited"
    DISK = "disk"


class Level(StrEnum):
    """Whose limit it was. MACHINE: no limit of ours; the machine itself had no memory left."""

    LEAF = "leaf"
    ACCOUNT = "account"
    ALL = "all"
    MACHINE = "machine"


WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.KILLED: "memory killed",
        Kind.SLOWED: "memory slowed",
        Kind.REFUSED: "processes refused",
        Kind.THROTTLED: "CPU throttled",
        Kind.WAITED: "IO waited",
        Kind.DISK: "disk full",
    }
)
KNOBS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.KILLED: "memory.max",
        Kind.SLOWED: "memory.high",
        Kind.REFUSED: "pids.max",
        Kind.THROTTLED: "cpu.max",
        Kind.WAITED: "io.max",
    }
)
"""The knob that `Fault.limit` is the text of."""


class Fault(NamedTuple):
    """A limit that was hit `number` times until `at` (CLOCK_BOOTTIME, ms) and `wall` (ms since 1970), since the reading
    before.

    `directory` is the account's, '' where it is nobody's in particular (level ALL); `leaf` where it happened, '' where
    that is unknown or the account as a whole. `amount` is the time throttled or waited in microseconds, or the bytes on
    the disk; None for the others. `limit` is the limit in force: the kernel's text of the knob in KNOBS, or bytes for
    DISK; '' where there is none or it is unknown.
    """

    kind: Kind
    level: Level
    directory: str
    leaf: str
    plan: str
    at: int
    wall: int
    number: int = 1
    amount: Number = None
    limit: str = ""


class Incident(NamedTuple):
    """Faults of one account, kind and level, and of one leaf where the level is LEAF, each at most JOINED after the one
    before. `number` and `amount` are sums (DISK: the highest amount); `limit` is that of the last fault. `begin` and
    `end` are ms since 1970; `account` is the name that the account had last."""

    id: int
    kind: Kind
    level: Level
    account: str
    directory: str
    leaf: str
    plan: str
    begin: int
    end: int
    number: int
    amount: Number
    limit: str


class Process(NamedTuple):
    """A process in a picture. `memory` is resident bytes; `cpu` seconds of CPU time and `age` seconds since its start;
    `state` as psutil has it (`running`, `sleeping`, `disk-sleep` …), of one that is gone as it was at the last sample,
    or KILLED or ENDED. `burnt` is what of `cpu` was used in the last RECENT seconds. `account` is a directory. None and
    '': unknown."""

    pid: int
    command: str
    account: str = ""
    leaf: str = ""
    user: str = ""
    memory: Number = None
    cpu: float | None = None
    state: str = ""
    age: float | None = None
    burnt: float | None = None


class Picture(NamedTuple):
    """The processes of an account at `wall` (ms since 1970), those with the most memory first; and in `before` those of
    the last RECENT seconds that have ended since, or were killed, in the order of their deaths."""

    wall: int
    processes: tuple[Process, ...]
    before: tuple[Process, ...] = ()


class Taken(NamedTuple):
    """A picture of `directory` for an incident that is or will be written: of this kind, level and leaf."""

    kind: Kind
    level: Level
    directory: str
    leaf: str
    at: int
    picture: Picture


def joined_leaf(fault: "Fault | Taken") -> str:
    """The leaf that its incident has."""
    return fault.leaf if fault.level is Level.LEAF else ""
