"""Which faults the counters of cgroups tell of, and whose limit it was. Pure.

The kernel counts a kill where the victim was, and the reason (`oom`) where the limit was; it counts `high` where the
limit was, and from Linux 6.11 on refused forks too (cgroup-v2.rst, memory.events, pids.events).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.metering.faults import Kind, Level
from paas_isolate.metering.reading import Number, keyed, killed, killed_before
from paas_isolate.model.metering import FaultSettings
from paas_isolate.model.quota import BLOCK, QuotaUsage

_ROOM = 4 * BLOCK
"""Bytes: a file system block. With less room no file can grow."""
_STALLED = 1.0
"""Percent of the last 10 s or 60 s in which some task waited for memory, from which on memory.high has slowed the
cgroup down. Below that it only took back cache."""


class Events(NamedTuple):
    """How often the cgroup's own limits were hit since it was made, but `killed`: how many of its own processes were
    killed for memory, whoever's limit it was."""

    killed: int = 0
    ooms: int = 0
    slowed: int = 0
    refused: int = 0


class Found(NamedTuple):
    """A fault in the cgroup `path` (`alice/web`, `alice`, '': all accounts); `limited` is whose limit it was, None for
    the machine's memory."""

    kind: Kind
    path: str
    limited: str | None
    number: int

    @property
    def level(self) -> Level:
        return Level.MACHINE if self.limited is None else level_of(self.limited)


def level_of(path: str) -> Level:
    return Level.ALL if not path else Level.LEAF if "/" in path else Level.ACCOUNT


def events(memory: bytes | None, pids: bytes | None) -> Events:
    """From the text of memory.events.local and of pids.events.local, or of a leaf's pids.events before Linux 6.11."""
    found = keyed(memory)
    return Events(killed(found) or 0, found.get("oom", 0), found.get("high", 0), keyed(pids).get("max", 0))


def grown(before: Events, now: Events) -> Events:
    """A counter that fell is another cgroup's: then all of it is new."""
    before = before._replace(killed=killed_before(before.killed, now.killed))
    if any(new < was for was, new in zip(before, now, strict=True)):
        return now
    return Events(*(new - was for was, new in zip(before, now, strict=True)))


def lineage(path: str) -> tuple[str, ...]:
    """A cgroup and those above it, up to '', which is that of all accounts."""
    above = path.rpartition("/")[0]
    return (path, *lineage(above)) if path else ("",)


def found(
    more: Mapping[str, Events], full: Collection[str] | None = None, ooms: Collection[str] = ()
) -> Iterator[Found]:
    """The faults of one account. `more` is the growth of the events of its cgroups and of ''. `full` are the cgroups
    that have as many processes as they may: given on kernels that count a refused fork where it was asked for. `ooms`
    are those whose limit was to have a process killed a moment before: the kernel counts that first."""
    for path, growth in more.items():
        if growth.killed:
            now = next((each for each in lineage(path) if each in more and more[each].ooms), None)
            limited = now if now is not None else next((each for each in lineage(path) if each in ooms), None)
            yield Found(Kind.KILLED, path, limited, growth.killed)
        if growth.slowed:
            yield Found(Kind.SLOWED, path, path, growth.slowed)
        if growth.refused:
            limited = path if full is None else next((each for each in lineage(path) if each in full), path)
            yield Found(Kind.REFUSED, path, limited, growth.refused)


def stalls(pressure: bytes | None) -> bool:
    """Whether a cgroup that reached memory.high was slowed by it, from memory.pressure. Without that file: yes."""
    return pressure is None or max(averages(pressure, b"some")) >= _STALLED


def averages(pressure: bytes | None, line: bytes) -> tuple[float, float]:
    """avg10 and avg60 of the line `some` or `full` of a pressure file (psi.rst), in percent; 0 where it has none."""
    for words in map(bytes.split, (pressure or b"").splitlines()):
        if words[:1] == [line] and len(words) >= 3:
            try:
                return float(words[1].rpartition(b"=")[2]), float(words[2].rpartition(b"=")[2])
            except ValueError:
                break
    return 0.0, 0.0


def is_long_throttled(throttled: Number, elapsed: int, settings: FaultSettings) -> bool:
    """Whether so many microseconds of waiting in so many milliseconds are enough for a fault; then its limit decides.

    The number of periods in which it waited is no measure: a thread that wakes up often waits for a moment in each
    (prometheus-operator 2063).
    """
    return elapsed > 0 and throttled is not None and throttled >= elapsed * 10 * settings.throttled


def is_at_limit(used: Number, elapsed: int, cpu_max: str, settings: FaultSettings) -> bool:
    """Whether microseconds of CPU time in so many milliseconds are near the limit, the text of cpu.max."""
    quota, _, period = cpu_max.partition(" ")
    if used is None or not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return False  # `max`: another limit made it wait
    return used * int(period) * 100 >= elapsed * 1000 * int(quota) * settings.used


def is_long_waited(waited: Number, elapsed: int, settings: FaultSettings) -> bool:
    """Whether so many microseconds of `full` IO pressure in so many milliseconds are enough for a fault."""
    return elapsed > 0 and waited is not None and waited >= elapsed * 10 * settings.waited


def is_full(usage: QuotaUsage) -> bool:
    """Whether a disk quota lets no file grow, or no file be made."""
    allowed = usage.allowed
    no_space = allowed.blocks > 0 and usage.space + _ROOM > allowed.blocks * BLOCK
    return no_space or (allowed.files > 0 and usage.files >= allowed.files)
