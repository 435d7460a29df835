"""What was used in an interval: the growth between two readings, sums, and shares of an interval."""

from collections.abc import Sequence
from typing import NamedTuple

from paas_isolate.metering.reading import Counters, Levels, Number, cpu_time, killed_before

GAP = 150_000
"""Milliseconds between two samples above which the time between them was not measured. What the kernel has counted
meanwhile is counted nevertheless; memory, which it does not count, is not. Cron samples every minute."""


class Use(NamedTuple):
    """What was used in the measured time. The first fields are those of Counters. Memory is in KiB-seconds, the area
    under its line; `peak` and `pids` are the highest seen. None: it was not measured."""

    user: Number = None
    system: Number = None
    throttled: Number = None
    read: Number = None
    written: Number = None
    read_ops: Number = None
    write_ops: Number = None
    frozen: Number = None
    cpu_some: Number = None
    cpu_full: Number = None
    memory_some: Number = None
    memory_full: Number = None
    io_some: Number = None
    io_full: Number = None
    killed: Number = None
    slowed: Number = None
    refused: Number = None
    received: Number = None
    sent: Number = None
    memory: Number = None
    own: Number = None
    swap: Number = None
    measured: Number = None
    """Milliseconds."""
    peak: Number = None
    pids: Number = None

    @property
    def cpu(self) -> Number:
        """Microseconds of CPU time."""
        return cpu_time(self.user, self.system)


SUMMED = Use._fields[:-2]
HIGHEST = Use._fields[-2:]
NOTHING = Use()
_SUMMED = len(SUMMED)
_FAST = Counters._fields.index("frozen")
"""Counters of the files that every sample reads (reading.FAST) come before this one."""
_NOT_READ = Counters()[_FAST:]
_KILLED = Counters._fields.index("killed")


def grown(before: Sequence[Number], now: Sequence[Number]) -> Counters | None:
    """What each counter has grown by. None where one of them fell: then it is another cgroup, or a broken file, and no
    counter of this reading can be compared."""
    if now[_FAST:] == _NOT_READ:  # most readings are: this takes a third of the time
        before, now = before[:_FAST], now[:_FAST]
    elif (was := before[_KILLED]) is not None and (new := now[_KILLED]) is not None:
        before = (*before[:_KILLED], killed_before(was, new), *before[_KILLED + 1 :])
    growth = [None if was is None or new is None else new - was for was, new in zip(before, now, strict=True)]
    for each in growth:
        if each is not None and each < 0:
            return None
    return Counters(*growth)


def known(before: Counters, now: Counters) -> Counters:
    """The newest known value of each counter: what is missing now keeps its value, so that its growth is not lost."""
    if now[_FAST:] == _NOT_READ and None not in now[:_FAST]:
        return Counters._make(now[:_FAST] + before[_FAST:])
    return Counters._make([was if new is None else new for was, new in zip(before, now, strict=True)])


def known_levels(before: Levels, now: Levels) -> Levels:
    """As `known`, for what is read once a minute: `peak`, `own` and `in_freezer`."""
    memory, swap, pids, peak, own, in_freezer = now
    return Levels(
        memory,
        swap,
        pids,
        before.peak if peak is None else peak,
        before.own if own is None else own,
        before.in_freezer if in_freezer is None else in_freezer,
    )


def area(before: Number, now: Number, milliseconds: int) -> Number:
    """KiB-seconds below the straight line between two sizes in bytes (the trapezoidal rule), rounded to the nearest."""
    if before is None or now is None:
        return None
    return ((before + now) * milliseconds + 1_024_000) // 2_048_000


def between(growth: Counters, before: Levels, now: Levels, milliseconds: int) -> Use:
    """The use between two readings. Beyond GAP only what the kernel has counted."""
    if milliseconds > GAP:
        return Use(*growth, peak=now.peak, pids=now.pids)
    if growth.frozen is None and before.in_freezer is not None:
        growth = growth._replace(frozen=_frozen(before, milliseconds))
    return Use._make(
        (
            *growth,
            area(before.memory, now.memory, milliseconds),
            area(before.own, now.own, milliseconds),
            area(before.swap, now.swap, milliseconds),
            milliseconds,
            now.peak,
            now.pids,
        )
    )


def held(levels: Levels, milliseconds: int) -> Use:
    """The use of a cgroup that did nothing for so long: what it held (a step, for both ends are the same)."""
    return Use(
        frozen=_frozen(levels, milliseconds),
        memory=area(levels.memory, levels.memory, milliseconds),
        own=area(levels.own, levels.own, milliseconds),
        swap=area(levels.swap, levels.swap, milliseconds),
        measured=milliseconds,
    )


def _frozen(levels: Levels, milliseconds: int) -> Number:
    """Microseconds in the freezer, where the kernel says only whether it is there."""
    return None if levels.in_freezer is None else levels.in_freezer * milliseconds * 1000


def total(one: Sequence[Number], other: Sequence[Number]) -> Use:
    """Both together. What one of them does not know is the other's."""
    both = [b if a is None else a if b is None else a + b for a, b in zip(one, other, strict=True)]
    both[-2:] = _highest(one[-2], other[-2]), _highest(one[-1], other[-1])
    return Use._make(both)


def _highest(one: Number, other: Number) -> Number:
    return other if one is None else one if other is None or one > other else other


def shares(use: Use, weights: Sequence[int]) -> list[Use]:
    """The use in proportion to `weights`, in whole numbers whose sums are exactly those of `use`."""
    whole = sum(weights)
    if whole <= 0:
        return [use, *[NOTHING] * (len(weights) - 1)]
    parts, begin, done = [], 0, [None if value is None else 0 for value in use[:_SUMMED]]
    for weight in weights:
        begin += weight
        until = [None if value is None else value * begin // whole for value in use[:_SUMMED]]
        summed = [None if a is None or b is None else b - a for a, b in zip(done, until, strict=True)]
        parts.append(Use(*summed, *use[_SUMMED:]))
        done = until
    return parts
