"""What is known of the past of one account: the input of explanations and advice."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import GAP

MINUTE = 60_000
"""Milliseconds."""


class Change(NamedTuple):
    """A step that was carried out at `wall` (ms since 1970). `directory` is '' for all customers together, `leaf` is ''
    for the account itself. `kind` is the knob that was set (`memory.max`), with both its texts, or the name of the
    step (`Start`), with none."""

    wall: int
    directory: str
    leaf: str
    kind: str
    was: str | None
    value: str | None
    sentence: str


class Row(NamedTuple):
    """What a cgroup did in the milliseconds that end at `wall` (ms since 1970): growth in the units of Counters, then
    levels in those of Levels. None: unknown."""

    wall: int
    milliseconds: int
    user: Number = None
    system: Number = None
    throttled: Number = None
    read: Number = None
    written: Number = None
    read_ops: Number = None
    write_ops: Number = None
    memory: Number = None
    swap: Number = None
    pids: Number = None

    @property
    def cpu(self) -> float:
        """CPU time in percent of one core."""
        return self._percent((self.user or 0) + (self.system or 0))

    @property
    def wanted(self) -> float:
        """CPU time that it would have used without its limit, in percent of one core: what it used, and the time for
        which it had to wait, which the kernel counts for each CPU (kernel/sched/fair.c, unthrottle_cfs_rq)."""
        return self._percent((self.user or 0) + (self.system or 0) + (self.throttled or 0))

    @property
    def io(self) -> float:
        """Bytes read and written a second."""
        return ((self.read or 0) + (self.written or 0)) * 1000 / max(self.milliseconds, 1)

    def _percent(self, microseconds: int) -> float:
        return microseconds / max(self.milliseconds, 1) / 10


class Busy(NamedTuple):
    """The minutes in which an account did something, a list for each value: when they ended (ms since 1970), CPU time
    (see Row.wanted), and bytes read and written a second."""

    walls: list[int]
    wanted: list[float]
    read: list[float]
    written: list[float]


_GROWING = 9
"""Fields of Row before this one are its time, its length and growth; those from here on are levels."""


def by_minute(rows: Iterable[Row]) -> list[Row]:
    """Rows of the same minute (of the wall clock) as one: growth is added, of levels the highest counts."""
    found: dict[int, Row] = {}
    for row in rows:
        minute = row.wall // MINUTE
        found[minute] = _joined(found[minute], row) if minute in found else row
    return [found[minute] for minute in sorted(found)]


def _joined(one: Row, other: Row) -> Row:
    values = [
        b if a is None else a if b is None else a + b if 0 < number < _GROWING else max(a, b)
        for number, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    return Row(*values)  # type: ignore[arg-type]


def measured(moments: Sequence[int], begin: int, end: int) -> int:
    """Milliseconds between `begin` and `end` that lie between two samples which are no more than GAP apart. `moments`
    are those of the samples (ms since 1970), in their order."""
    spans = ((max(one, begin), min(other, end)) for one, other in pairwise(moments) if other - one <= GAP)
    return sum(until - since for since, until in spans if until > since)


def minutes_of(moments: Sequence[int]) -> set[int]:
    """The minutes (since 1970) in which samples were taken, or that lie between two of them without a gap."""
    found = {moment // MINUTE for moment in moments}
    for one, other in pairwise(moments):
        if 0 < other - one <= GAP:
            found.update(range(one // MINUTE, other // MINUTE))
    return found


def at_share(values: Sequence[float], share: float, zeros: int = 0) -> float:
    """The value that so many of `values`, and of so many `zeros` besides, do not exceed: the smallest one that will do
    (nearest rank). 0 for none. No value is negative."""
    place = max(0, -int(-share * (len(values) + zeros) // 1) - 1) - zeros
    return sorted(values)[place] if values and place >= 0 else 0
